"""The list of cases with its filters. Reasons, priorities and exact states would lead readers, so readers see none."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from cataract.ml.labels import Reason
from predictions.photos.models import EyeImage
from predictions.results.wording import REASONS
from predictions.sites.models import Site
from review.cases.models import ReviewCase
from review.cases.permissions import READ, VIEW_CASES

AGES = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
STATES = {
    "open": Q(status__in=ReviewCase.OPEN),
    **{status.value: Q(status=status) for status in ReviewCase.Status},
}
STATE_NAMES = {"open": "Open", **{value: label.capitalize() for value, label in ReviewCase.Status.choices}}
# A state that says "second reader" hints at the AI's answer.
STATE_NAMES_FOR_READERS = {name: STATE_NAMES[name] for name in ("open", ReviewCase.Status.RESOLVED.value)}


URGENT, SOON = 10, 20  # the last priorities of the two bands that have an agreed time of their own
LEADING = 10  # late cases that stand above the list

# Why a case is here, in a few words; the sentences are those of results.
SHORT_REASONS: dict[str, str] = {
    Reason.UNCERTAIN: "AI not sure",
    Reason.DISAGREEMENT: "Models disagree",
    Reason.OUT_OF_DISTRIBUTION: "Unusual photo",
    Reason.UNGRADABLE: "Cannot be judged",
    Reason.QUALITY: "Low quality",
    Reason.OTHER_FINDING: "Another finding",
    Reason.NO_COLOUR: "No colour",
    Reason.INVALID_SCORE: "No usable score",
    Reason.ALWAYS_READ: "Always read",
    Reason.AUDIT_SAMPLE: "Random check",
    Reason.NOT_ACCEPTED: "Not accepted here yet",
    Reason.NO_CHAMPION: "No AI in service",
    Reason.AI_OFF: "AI switched off",
    Reason.FAILED: "Analysis failed",
    Reason.REQUESTED: "Requested",
    Reason.LOOK_BACK: "Look-back",
    Reason.SUSPECTED_LABEL: "Label in doubt",
}


@dataclass(frozen=True)
class Listed:
    """One row of the worklist; reasons and due time are for those who may see reasons."""

    case: ReviewCase
    reasons: list[tuple[str, str]]  # in a few words, and the sentence
    due: datetime
    is_late: bool
    is_claimed: bool


def agreed_hours(priority: int) -> float:
    """The hours in which a case of this priority is answered, as agreed."""
    if priority <= URGENT:
        return float(settings.REVIEW_URGENT_HOURS)
    return float(settings.REVIEW_SOON_HOURS if priority <= SOON else settings.REVIEW_AGREED_HOURS)


def is_late() -> Q:
    """Open cases that have waited longer than agreed for their priority."""
    now = timezone.now()

    def before(priority: int) -> Q:
        return Q(created_at__lt=now - timedelta(hours=agreed_hours(priority)))

    urgent, soon = Q(priority__lte=URGENT), Q(priority__gt=URGENT, priority__lte=SOON)
    late = urgent & before(URGENT) | soon & before(SOON) | Q(priority__gt=SOON) & before(SOON + 1)
    return Q(status__in=ReviewCase.OPEN) & late


def leading(user: User) -> list[ReviewCase]:
    """The late cases that stand above the list, the one that has waited longest first; none for readers."""
    if not may_see_reasons(user):
        return []
    return list(_with_people(listed(user).filter(is_late())).order_by("created_at", "pk")[:LEADING])


def rows_of(cases: list[ReviewCase]) -> list[Listed]:
    """What the worklist shows of these cases."""
    now = timezone.now()
    return [
        Listed(
            case=case,
            reasons=[(SHORT_REASONS.get(reason, reason), REASONS.get(reason, "")) for reason in case.reasons],
            due=(due := case.created_at + timedelta(hours=agreed_hours(case.priority))),
            is_late=due < now and case.status in ReviewCase.OPEN,
            is_claimed=case.claimed_by is not None and case.lease_until is not None and case.lease_until > now,
        )
        for case in cases
    ]


def may_see_reasons(user: User) -> bool:
    """Whether this user sees reasons and priorities. They hint at the AI's answer, so blind readers never do."""
    return user.has_perm(VIEW_CASES) and not user.has_perm(READ)


def state_names(user: User) -> dict[str, str]:
    """The states this user may filter by, with their names."""
    return STATE_NAMES if may_see_reasons(user) else STATE_NAMES_FOR_READERS


@dataclass(frozen=True)
class Filters:
    """The filters of the page address; an empty one does not filter."""

    state: str = "open"
    reason: str = ""
    age: str = ""
    site: str = ""
    reader: int | None = None
    late: bool = False


def cases(user: User, filters: Filters) -> QuerySet[ReviewCase]:
    """The cases that match, newest first. A hidden check is listed for its reader only."""
    rows = listed(user).filter(STATES.get(filters.state, Q()))
    if filters.age in AGES:
        rows = rows.filter(created_at__lt=timezone.now() - AGES[filters.age])
    if filters.site:
        rows = rows.filter(image__site__name=filters.site)
    if filters.reader is not None:
        claimed = Q(claimed_by=filters.reader, lease_until__gt=timezone.now())
        rows = rows.filter(claimed | Q(assigned_to=filters.reader))
    if filters.reason and may_see_reasons(user):
        rows = rows.filter(reasons__icontains=f'"{filters.reason}"')
    if filters.late and may_see_reasons(user):
        rows = rows.filter(is_late())
    return _with_people(rows).order_by("-created_at", "pk")


def _with_people(rows: QuerySet[ReviewCase]) -> QuerySet[ReviewCase]:
    return rows.select_related("image__site", "image__patient", "claimed_by", "assigned_to")


def totals(user: User) -> dict[str, int]:
    """The number of cases in each state: all of them, less the few whose photos are withdrawn or deleted."""
    cases = ReviewCase.objects.filter(Q(kind=ReviewCase.Kind.CASE) | Q(only_for=user)).order_by()
    out_of_use = cases.filter(image__in=EyeImage.objects.out_of_use().values("pk"))
    every, gone = (dict(rows.values_list("status").annotate(Count("pk"))) for rows in (cases, out_of_use))
    found = {status.value: every.get(status, 0) - gone.get(status, 0) for status in ReviewCase.Status}
    return {"open": sum(found[status] for status in ReviewCase.OPEN), **found}


def sites() -> list[str]:
    """The sites, by name."""
    return list(Site.objects.values_list("name", flat=True))


def readers() -> list[tuple[int, str]]:
    """Every active user who may read, by name, in one query."""
    app, codename = READ.split(".")
    wanted = {"content_type__app_label": app, "codename": codename}
    permissions = Permission.objects.filter(**wanted)
    may_read = Q(is_superuser=True) | Q(user_permissions__in=permissions) | Q(groups__permissions__in=permissions)
    users = User.objects.filter(may_read, is_active=True).distinct().order_by("username")
    return list(users.values_list("pk", "username"))


def listed(user: User) -> QuerySet[ReviewCase]:
    """The cases of photos in use that this user may know of: a hidden check is its reader's only."""
    return ReviewCase.objects.of_photos_in_use().filter(Q(kind=ReviewCase.Kind.CASE) | Q(only_for=user))
