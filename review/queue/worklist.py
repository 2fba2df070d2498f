"""The list of cases with its filters. It does not lead readers: reasons, priorities and exact states are for others."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import Permission, User
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from review.cases import permissions as queue
from review.cases.models import ReviewCase

ASSIGN = "review.assign_reviewcase"
LOOK = "review.view_reviewcase"
AGES = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
STATES = {
    "open": Q(status__in=ReviewCase.OPEN),
    **{status.value: Q(status=status) for status in ReviewCase.Status},
}
FOR_READERS = ("open", "resolved")  # that a second reader is asked hints at what the AI said


def may_see_reasons(person: User) -> bool:
    """Why a case is in the queue, and how urgent it is, hints at what the AI said: never for those who read blind."""
    return person.has_perm(LOOK) and not person.has_perm(queue.READ)


@dataclass(frozen=True)
class Filters:
    """What the address asks for; empty asks for nothing."""

    state: str = "open"
    reason: str = ""
    age: str = ""
    site: str = ""
    reader: int | None = None


def cases(person: User, filters: Filters) -> QuerySet[ReviewCase]:
    """The cases that match, newest first, with what a row shows. A hidden check is a case to its reader only."""
    found = _listed(person).filter(STATES.get(filters.state, Q()))
    if filters.age in AGES:
        found = found.filter(created_at__lt=timezone.now() - AGES[filters.age])
    if filters.site:
        found = found.filter(image__site=filters.site)
    if filters.reader is not None:
        holds = Q(claimed_by=filters.reader, lease_until__gt=timezone.now())
        found = found.filter(holds | Q(assigned_to=filters.reader))
    if filters.reason and may_see_reasons(person):
        found = found.filter(reasons__icontains=f'"{filters.reason}"')
    return found.select_related("image", "claimed_by", "assigned_to").order_by("-created_at", "pk")


def totals(person: User) -> dict[str, int]:
    """How many cases there are by state, in one query."""
    counted = {name: Count("pk", filter=condition) for name, condition in STATES.items()}
    return dict(_listed(person).aggregate(**counted))


def sites() -> list[str]:
    """The sites that have cases."""
    named = ReviewCase.objects.exclude(image__site="").order_by("image__site")
    return list(named.values_list("image__site", flat=True).distinct())


def readers() -> list[tuple[int, str]]:
    """Everybody who may read, by name; in one query however many there are."""
    app, codename = queue.READ.split(".")
    wanted = {"content_type__app_label": app, "codename": codename}
    permissions = Permission.objects.filter(**wanted)
    may_read = Q(is_superuser=True) | Q(user_permissions__in=permissions) | Q(groups__permissions__in=permissions)
    people = User.objects.filter(may_read, is_active=True).distinct().order_by("username")
    return list(people.values_list("pk", "username"))


def _listed(person: User) -> QuerySet[ReviewCase]:
    return ReviewCase.objects.filter(Q(kind=ReviewCase.Kind.CASE) | Q(only_for=person))
