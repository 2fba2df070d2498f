"""The answers of a look-back: filtered, the greatest risk first, counted, and as CSV."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Prefetch, Q, QuerySet

from cataract.core.csv_cells import csv_lines
from cataract.ml.labels import Decision
from predictions.answering.models import Prediction
from review.cases.models import ReviewCase
from review.lookback.models import LookBack, LookBackAnswer

WAS = {"cleared": Decision.NORMAL, "called": Decision.CATARACT}
_CHUNK = 500
COLUMNS = (
    "prediction", "image", "patient", "eye", "site", "sent_at", "release", "answer", "probability", "by_release",
    "answer_now", "probability_now", "error", "case", "case_status", "final_result",
)  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """was: cleared or called. now: a decision, "error" or "". sent: "yes", "no" or "". at_least: a probability."""

    was: str = "cleared"
    now: str = ""
    sent: str = ""
    at_least: float | None = None


def ranked(look_back: LookBack, user: User, filters: Filters) -> QuerySet[LookBackAnswer]:
    """The answers that match, of photos that `user` may see.

    Cleared photos: the most probable cataract first. Called ones: the least probable first.
    """
    visible = Prediction.objects.visible_to(user)
    answers = look_back.answers.filter(prediction__in=visible.values("pk"), prediction__decision=WAS[filters.was])
    if filters.now:
        answers = answers.filter(decision="" if filters.now == "error" else filters.now)
    if filters.sent:
        answers = answers.filter(case__isnull=filters.sent == "no")
    if filters.at_least is not None:
        answers = answers.filter(probability__gte=filters.at_least)
    risk = F("probability")
    order = risk.desc(nulls_last=True) if filters.was == "cleared" else risk.asc(nulls_last=True)
    shown = Prefetch("prediction", visible)
    return answers.prefetch_related(shown).select_related("case").order_by(order, "pk")


def counts(look_back: LookBack) -> dict[str, int]:
    """How many photos are scored, how their answers changed, and how many were sent to readers and read."""
    cleared, called = Q(prediction__decision=Decision.NORMAL), Q(prediction__decision=Decision.CATARACT)
    found: dict[str, int] = look_back.answers.aggregate(
        scored=Count("pk"),
        failed=Count("pk", filter=~Q(error="")),
        cleared=Count("pk", filter=cleared),
        now_cataract=Count("pk", filter=cleared & Q(decision=Decision.CATARACT)),
        now_ungradable=Count("pk", filter=cleared & Q(decision=Decision.UNGRADABLE)),
        called=Count("pk", filter=called),
        now_normal=Count("pk", filter=called & Q(decision=Decision.NORMAL)),
        sent=Count("pk", filter=Q(case__isnull=False)),
        read=Count("pk", filter=Q(case__status=ReviewCase.Status.RESOLVED)),
    )
    return found


def answers_csv(answers: QuerySet[LookBackAnswer], show: Callable[[Sequence[Prediction]], Any]) -> Iterator[str]:
    """The answers as lines of CSV; `show` is told of each prediction before its line is given out."""
    return csv_lines(_rows(answers, show))


def _rows(answers: QuerySet[LookBackAnswer], show: Callable[[Sequence[Prediction]], Any]) -> Iterator[Sequence[Any]]:
    yield COLUMNS
    rows = answers.select_related("case", "look_back").iterator(chunk_size=_CHUNK)
    while chunk := list(islice(rows, _CHUNK)):
        show([answer.prediction for answer in chunk])
        for answer in chunk:
            yield _cells(answer)


def _cells(answer: LookBackAnswer) -> list[Any]:
    prediction, look_back = answer.prediction, answer.look_back
    image, result = prediction.image, prediction.final_result
    return [
        prediction.pk, image.pk, image.patient_key, image.eye, image.site.name, prediction.created_at.isoformat(),
        look_back.release_id, prediction.decision, prediction.probability, look_back.by_release_id, answer.decision,
        answer.probability, answer.error, answer.case_id or "", answer.case.status if answer.case else "",
        result.answer if result is not None else "",
    ]  # fmt: skip
