"""The page "Readers": who practised, who passed, how control cases went, who is paused; and lifting a pause."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from cataract.ml.statistics.intervals import wilson
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import READ, managers_only
from review.pauses import services
from review.pauses.forms import LiftForm
from review.pauses.models import ReadingPause
from review.practice.models import PracticeSession

MOST = 200


@dataclass(frozen=True)
class Row:
    """One reader as the page shows it."""

    reader: User
    attempt: PracticeSession | None  # the last finished qualifying set
    right: int
    controls: int
    pause: ReadingPause | None

    @property
    def interval(self) -> str:
        """The 95 % interval of the share of control cases answered as known; empty without any."""
        if not self.controls:
            return ""
        low, high = wilson(self.right, self.controls)
        return f"{low * 100:.0f} to {high * 100:.0f} %"


@require_GET
@managers_only
def readers_page(request: HttpRequest) -> HttpResponse:
    """Everybody who may read, the paused ones first, with the pauses that were lifted below."""
    rows = _rows()
    context = {
        "rows": sorted(rows, key=lambda row: row.pause is None),
        "paused": sum(row.pause is not None for row in rows),
        "lifted": ReadingPause.objects.filter(lifted_at__isnull=False).select_related("reader", "lifted_by")[:MOST],
        "failed": settings.REVIEW_PAUSE_FAILED,
        "of": settings.REVIEW_PAUSE_OF,
        "qualifying": settings.REVIEW_QUALIFYING_CASES,
        "form": LiftForm(),
    }
    return render(request, "review/readers.html", context)


def _rows() -> list[Row]:
    """Everybody who may read, in four queries."""
    readers = User.objects.with_perm(READ, include_superusers=False).filter(is_active=True).order_by("username")
    sessions = PracticeSession.objects.filter(kind=PracticeSession.Kind.QUALIFYING, finished_at__isnull=False)
    attempts = {session.reader_id: session for session in sessions.order_by("started_at")}
    answered = Reading.objects.standing().filter(case__kind=ReviewCase.Kind.CONTROL).order_by().values("reader")
    right = Count("pk", filter=Q(blind_answer=F("case__known_answer")))
    controls = {row["reader"]: (row["right"], row["n"]) for row in answered.annotate(n=Count("pk"), right=right)}
    pauses = {pause.reader_id: pause for pause in ReadingPause.objects.filter(lifted_at__isnull=True)}
    return [
        Row(each, attempts.get(each.pk), *controls.get(each.pk, (0, 0)), pauses.get(each.pk)) for each in readers[:MOST]
    ]


@require_POST
@managers_only
def lift(request: HttpRequest, pk: int) -> HttpResponse:
    """Lift a pause, with a reason."""
    pause = get_object_or_404(ReadingPause, pk=pk)
    form = LiftForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why the pause is lifted.")
        return redirect("review:readers")
    try:
        services.lift_pause(pause=pause, user=user_of(request), reason=form.cleaned_data["reason"])
        messages.success(request, f"{pause.reader} gets cases again.")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("review:readers")
