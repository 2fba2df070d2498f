"""The report of an A/B test: the patients of each arm, side by side."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from cataract.ml.labels import Decision
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.releases.arms import is_on_challenger
from predictions.releases.models import LiveTest
from review.agreement import in_service
from training.livetests.figures import is_unsure, latency_row, measure_row, share_row

_LIVE = (EyeImage.Source.UPLOAD, EyeImage.Source.API)


class _Answered(NamedTuple):
    """One prediction for an upload while the test ran."""

    patient: str
    cluster: int
    release: str
    decision: str
    needs_review: bool
    reasons: Sequence[str]
    timings: dict[str, float]


_COLUMNS = (
    "image__patient__key",
    "image__cluster_id",
    "release_id",
    "decision",
    "needs_review",
    "reasons",
    "timings",
)


def ab_report(test: LiveTest) -> dict[str, Any]:
    """Rates, latency and figures in service of each arm. Patients stay in the arm that they were drawn into."""
    until = test.ended_at or timezone.now()
    predictions = Prediction.objects.filter(
        status=Prediction.Status.DONE, created_at__gte=test.started_at, created_at__lt=until, image__source__in=_LIVE
    )
    answered = [_Answered(*row) for row in predictions.exclude(image__patient=None).values_list(*_COLUMNS)]
    read = [
        row for row in in_service.rows(since=test.started_at) if test.started_at <= row.made_at < until and row.patient
    ]
    arms = []
    for arm, release in (("champion", test.champion_id), ("challenger", test.challenger_id)):
        on_challenger = arm == "challenger"
        arm_answers = [row for row in answered if is_on_challenger(test, row.patient) == on_challenger]
        arm_cases = [row for row in read if is_on_challenger(test, row.patient) == on_challenger]
        arms.append(_arm(arm, release, arm_answers, arm_cases))
    return {"photos": len(answered), "outside": _outside(predictions), "arms": arms}


def _arm(arm: str, release: str, answers: Sequence[_Answered], cases: list[in_service.SampledCase]) -> dict[str, Any]:
    clusters = [row.cluster for row in answers]
    rates = [
        share_row("Said cataract", [row.decision == Decision.CATARACT for row in answers], clusters),
        share_row("Cannot judge", [row.decision == Decision.UNGRADABLE for row in answers], clusters),
        share_row("Sent to a person", [is_unsure(row.needs_review, row.reasons) for row in answers], clusters),
    ]
    return {
        "arm": arm,
        "release": release,
        "patients": len({row.patient for row in answers}),
        "photos": len(answers),
        "other_release": sum(row.release != release for row in answers),
        "read": sum(row.is_read for row in cases),
        "measures": rates + [measure_row(measure) for measure in in_service.measures(cases)],
        "source": in_service.source(cases),
        "latency": latency_row([row.timings["total"] for row in answers if "total" in row.timings]),
    }


def _outside(predictions: QuerySet[Prediction]) -> int:
    """Photos without a patient key: the champion answers them, and they belong to no arm."""
    return predictions.filter(image__patient=None).count()
