"""The home of each role: three figures, one main action, and the five newest things.

Whoever reads photos blind is shown no answer here, whatever other role they have.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from cataract.core.querysets import count_up_to
from cataract.frame.context_processors import Frame
from cataract.ops.notices.models import Notice
from predictions.answering import services as answering
from predictions.answering.blindness import reads_blind
from predictions.answering.models import Prediction
from predictions.releases.models import Release
from predictions.results.wording import describe
from review.cases.models import Reading, ReviewCase
from review.queue import progress

NEWEST = 5


@dataclass(frozen=True)
class Figure:
    """One large number with its name; `note` says more, `url` opens the list behind it."""

    name: str
    value: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True)
class Row:
    """One of the newest things. `words` and `state` are an answer as lists show it; `badge` is (kind, words)."""

    title: str
    detail: str
    url: str
    at: datetime
    image: UUID | None = None
    words: Any = None
    state: Any = None
    badge: tuple[str, str] | None = None


@dataclass(frozen=True)
class Home:
    """What the template shows. `post`: the main action changes something, so it is a form."""

    headline: str
    figures: list[Figure]
    action: str
    url: str
    icon: str = "arrow-right"
    post: bool = False
    second: tuple[str, str] | None = None
    newest: str = ""
    rows: list[Row] = field(default_factory=list)
    empty: str = ""


def home_of(user: User, frame: Frame) -> Home | None:
    """The home of this user by the first role that has one; None without a role."""
    homes: tuple[tuple[bool, Callable[[User, Frame], Home]], ...] = (
        (reads_blind(user), _reader),
        (user.has_perm("predictions.view_every_eyeimage"), _manager),
        (user.has_perm("predictions.add_eyeimage"), _screener),
    )
    return next((make(user, frame) for applies, make in homes if applies), None)


def _reader(user: User, _frame: Frame) -> Home:
    """Cases waiting, minutes left, read today; what this user has read, with their own answers only."""
    counts = progress.today_of(user)
    minutes = counts.minutes_left
    readings = Reading.objects.standing().filter(reader=user).select_related("case__image")
    uploads = ("Upload a photo", reverse("predictions:upload")) if user.has_perm("predictions.add_eyeimage") else None
    return Home(
        headline="No cases for you right now"
        if not counts.waiting
        else f"{counts.in_words} case{'' if counts.waiting == 1 else 's'} for you",
        figures=[
            Figure("Cases for you", counts.in_words, url=reverse("review:queue")),
            Figure("Minutes left", "-" if minutes is None else str(minutes), "at your pace so far" if minutes else ""),
            Figure("Read today", str(counts.done_today)),
        ],
        action=("Continue" if counts.mine else "Start reading") if counts.waiting else "Open the worklist",
        url=reverse("review:next") if counts.waiting else reverse("review:worklist"),
        icon="play" if counts.waiting else "list",
        post=bool(counts.waiting),
        second=uploads,
        newest="You read last",
        rows=[
            Row(
                f"Case {str(reading.case_id)[:8]}",
                reading.case.shown_eye or "eye not stated",
                reverse("review:case", args=[reading.case_id]),
                reading.blind_at,
                badge=("info", f"Your answer: {reading.get_blind_answer_display().lower()}"),
            )
            for reading in readings.order_by("-blind_at", "pk")[:NEWEST]
        ],
        empty="Cases that you read appear here.",
    )


def _screener(user: User, frame: Frame) -> Home:
    """Waiting, answered since one looked, sent today; the newest photos with their answers."""
    photos = Prediction.objects.visible_to(user).in_use()
    waiting = count_up_to(photos.in_state(Prediction.State.WAITING))
    today = count_up_to(photos.filter(created_at__gte=_midnight()))
    uploads = reverse("predictions:list")
    new = frame.new_answers
    return Home(
        headline=f"{new} new answer{'' if new == 1 else 's'} for you" if new else "No new answers",
        figures=[
            Figure("Waiting for a clinician", str(waiting), url=f"{uploads}?state=waiting"),
            Figure("Answered since you looked", str(new), url=f"{uploads}?new=true"),
            Figure("Sent today", str(today), url=uploads),
        ],
        action="Upload a photo",
        url=reverse("predictions:upload"),
        icon="camera",
        newest="Newest photos",
        rows=_newest_photos(user),
        empty="The photos that you send appear here with their answers.",
    )


def _manager(user: User, frame: Frame) -> Home:
    """Open notices, the oldest wait, the champion and its challengers; the newest photos with their answers."""
    watches = user.has_perm("cataract.view_notice")
    alerts = Notice.objects.open().count() if watches else 0
    waiting = ReviewCase.objects.of_photos_in_use().filter(status__in=ReviewCase.OPEN, kind=ReviewCase.Kind.CASE)
    oldest = waiting.order_by("created_at", "pk").values_list("created_at", flat=True).first()
    worklist = reverse("review:worklist")
    first = (
        Figure("Open notices", str(alerts), f"{frame.unseen_notices} not seen yet", reverse("ops:notices"))
        if watches
        else Figure("Photos today", str(count_up_to(Prediction.objects.filter(created_at__gte=_midnight()))))
    )
    needs = f"{alerts} notice{'' if alerts == 1 else 's'} need{'s' if alerts == 1 else ''} you"
    return Home(
        headline=needs if alerts else "Nothing needs you right now",
        figures=[
            first,
            Figure(
                "Oldest case waiting",
                _wait(oldest),
                f"{count_up_to(waiting.order_by('-created_at', 'pk'))} open",
                worklist,
            ),
            _serving(user),
        ],
        action="Open the notices" if alerts else "Open the worklist",
        url=reverse("ops:notices") if alerts else worklist,
        icon="bell" if alerts else "list",
        second=("Upload a photo", reverse("predictions:upload")) if user.has_perm("predictions.add_eyeimage") else None,
        newest="Newest photos",
        rows=_newest_photos(user),
        empty="Photos appear here once they have been uploaded.",
    )


def _newest_photos(user: User) -> list[Row]:
    """The newest photos with their answers, which the user has then been shown."""
    shown = list(Prediction.objects.visible_to(user).in_use().order_by("-created_at", "pk")[:NEWEST])
    answering.disclose(predictions=shown, user=user)
    return [
        Row(
            each.image.patient_key or "No patient key",
            f"{each.image.get_eye_display() or 'Eye not stated'}, {each.image.site}",
            reverse("predictions:detail", args=[each.pk]),
            each.created_at,
            image=each.image_id,
            words=describe(each),
            state=each.state,
        )
        for each in shown
    ]


def _serving(user: User) -> Figure:
    """The champion, and how many challengers there are."""
    status = Release.Status
    rows = list(Release.objects.filter(status__in=(status.CHAMPION, status.CHALLENGER)).values_list("status", "pk"))
    champion = next((pk for found, pk in rows if found == status.CHAMPION), "None")
    waiting = sum(found == status.CHALLENGER for found, _ in rows)
    note = f"{waiting or 'no'} challenger{'' if waiting == 1 else 's'}"
    may_open = user.is_staff and user.has_perm("predictions.view_release")
    url = reverse("admin:training_releasereview_changelist") if may_open else ""
    return Figure("Champion", champion, note, url)


def _wait(since: datetime | None) -> str:
    """ "3 h 10", "12 min", "4 days"; "-" where nothing waits."""
    if since is None:
        return "-"
    minutes = int((timezone.now() - since).total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, days = minutes // 60, minutes // (60 * 24)
    return f"{days} day{'' if days == 1 else 's'}" if days else f"{hours} h {minutes % 60:02}"


def _midnight() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
