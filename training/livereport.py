"""What a live test has shown so far: champion and challenger on the same photos (shadow), or arm against arm (A/B).

Rates have 95 % intervals by patient. What labels say is weighted for the chance with which each photo came to be read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.utils import timezone

from cataract.ml import drift
from predictions import registry
from predictions.models import EyeImage, LiveTest, Prediction, ShadowAnswer
from review import estimates, live
from review.estimates import Estimate, Measure
from review.models import Label
from training.paired import MEASURES, Answer, Photo, compare_measure
from training.rules import rules

FLIPS_SHOWN = 50
_BINS = 10
_LIVE = (EyeImage.Source.UPLOAD, EyeImage.Source.API)
_DECISIONS = Prediction.Decision.values


def report_on(test: LiveTest) -> dict[str, Any]:
    """The report of a live test, as JSON; its `kind` says which keys it has."""
    found = _shadow(test) if test.kind == LiveTest.Kind.SHADOW else _ab(test)
    return {"kind": test.kind, "planned": test.photos, "complete": found["photos"] >= test.photos, **found}


# In shadow ------------------------------------------------------------------------------------------------------------
def _shadow(test: LiveTest) -> dict[str, Any]:
    answers = list(
        ShadowAnswer.objects.filter(test=test).select_related("prediction__image").order_by("prediction__created_at")
    )
    said = [answer for answer in answers if not answer.error]
    clusters = [answer.prediction.image.cluster_id for answer in said]
    labels = _labels(said)
    return {
        "photos": len(answers),
        "failed": len(answers) - len(said),
        "measures": [
            _row("Same decision", [a.decision == a.prediction.decision for a in said], clusters),
            _row("Champion: sent to a person", [_for_review(a.prediction) for a in said], clusters),
            _row("Challenger: sent to a person", [a.needs_review for a in said], clusters),
            _row("Champion: cannot judge", [a.prediction.decision == "ungradable" for a in said], clusters),
            _row("Challenger: cannot judge", [a.decision == "ungradable" for a in said], clusters),
        ],
        "decisions": _table(Counter((a.prediction.decision, a.decision) for a in said)),
        "scores": _scores([a.prediction.probability for a in said], [a.probability for a in said]),
        "latency": _shadow_latency(said),
        "labelled": _labelled(said, labels),
        "flips": [
            {
                "prediction": str(answer.prediction_id),
                "image": str(answer.prediction.image_id),
                "champion": answer.prediction.decision,
                "challenger": answer.decision,
                "champion_probability": answer.prediction.probability,
                "challenger_probability": answer.probability,
                "truth": labels[answer.prediction.image_id].answer if answer.prediction.image_id in labels else "",
            }
            for answer in reversed(said)
            if answer.decision != answer.prediction.decision
        ][:FLIPS_SHOWN],
    }


def _for_review(prediction: Prediction) -> bool:
    """Whether the release itself was unsure: the random checks of sure answers are the system's, not its own."""
    return prediction.needs_review and prediction.reasons != ["audit_sample"]


def _labels(answers: Iterable[ShadowAnswer]) -> dict[Any, Label]:
    """The standing cataract or normal labels of these photos that were confirmed after the answer."""
    made = {answer.prediction.image_id: answer.prediction.created_at for answer in answers}
    standing = Label.objects.standing().filter(image__in=made, answer__in=["cataract", "normal"])
    blind = standing.exclude(provenance=Label.Provenance.AFTER_AI)
    return {label.image_id: label for label in blind if label.created_at >= made[label.image_id]}


def _labelled(answers: Sequence[ShadowAnswer], labels: Mapping[Any, Label]) -> dict[str, Any]:
    photos = [
        Photo(
            image=str(answer.prediction.image_id),
            cluster=answer.prediction.image.cluster_id,
            truth=labels[answer.prediction.image_id].answer,
            champion=_answer(answer.prediction),
            challenger=_answer(answer),
            weight=labels[answer.prediction.image_id].weight,
        )
        for answer in answers
        if answer.prediction.image_id in labels
    ]
    plan = rules()["comparison"]
    options = {"resamples": plan["bootstrap"], "confidence": plan["confidence"], "seed": 0}
    return {
        "photos": len(photos),
        "cataract": sum(photo.truth == "cataract" for photo in photos),
        "measures": [{"name": name, **asdict(compare_measure(name, photos, **options))} for name in MEASURES]
        if photos
        else [],
    }


def _answer(row: Prediction | ShadowAnswer) -> Answer:
    return Answer(row.decision, row.probability, row.needs_review, 0.0)


def _shadow_latency(answers: Sequence[ShadowAnswer]) -> dict[str, Any]:
    """The time of the cascade itself: the stages that both have; the champion's was measured in the web process."""
    stages = sorted({stage for answer in answers for stage in answer.timings})
    times = {
        "champion": [_sum(answer.prediction.timings, stages) for answer in answers],
        "challenger": [_sum(answer.timings, stages) for answer in answers],
    }
    return {side: _milliseconds(values) for side, values in times.items()}


def _sum(timings: Mapping[str, float], stages: Iterable[str]) -> float:
    return sum(float(timings.get(stage, 0.0)) for stage in stages)


# A/B ------------------------------------------------------------------------------------------------------------------
def _ab(test: LiveTest) -> dict[str, Any]:
    until = test.ended_at or timezone.now()
    answered = Prediction.objects.filter(
        status=Prediction.Status.DONE, created_at__gte=test.started_at, created_at__lt=until, image__source__in=_LIVE
    ).select_related("image")
    with_key = list(answered.exclude(image__patient_key=""))
    read = [row for row in live.rows(since=test.started_at) if test.started_at <= row.made_at < until and row.patient]
    arms = []
    for arm, release in (("champion", test.champion_id), ("challenger", test.challenger_id)):
        is_mine = arm == "challenger"
        mine = [p for p in with_key if registry.is_on_challenger(test, p.image.patient_key) == is_mine]
        cases = [row for row in read if registry.is_on_challenger(test, row.patient) == is_mine]
        arms.append(_arm(arm, release, mine, cases))
    return {"photos": len(with_key), "outside": _outside(answered), "arms": arms}


def _arm(arm: str, release: str, predictions: Sequence[Prediction], cases: list[live.Chosen]) -> dict[str, Any]:
    clusters = [prediction.image.cluster_id for prediction in predictions]
    rates = [
        _row("Said cataract", [p.decision == "cataract" for p in predictions], clusters),
        _row("Cannot judge", [p.decision == "ungradable" for p in predictions], clusters),
        _row("Sent to a person", [_for_review(p) for p in predictions], clusters),
    ]
    return {
        "arm": arm,
        "release": release,
        "patients": len({prediction.image.patient_key for prediction in predictions}),
        "photos": len(predictions),
        "other_release": sum(prediction.release_id != release for prediction in predictions),
        "read": sum(row.is_read for row in cases),
        "measures": rates + [_named(measure) for measure in live.measures(cases)],
        "latency": _milliseconds([p.timings["total"] for p in predictions if "total" in p.timings]),
    }


def _outside(answered: QuerySet[Prediction]) -> int:
    """Photos without a patient key: the champion answers them, and they belong to no arm."""
    return answered.filter(image__patient_key="").count()


# Numbers --------------------------------------------------------------------------------------------------------------
def _row(name: str, hits: Sequence[bool], clusters: Sequence[int]) -> dict[str, Any]:
    """A share of photos with its interval by cluster."""
    return _named(Measure(name, estimates.weighted_share(hits, np.ones(len(hits)), clusters)))


def _named(measure: Measure) -> dict[str, Any]:
    return {"name": measure.name, "note": measure.note, **asdict(measure.estimate)}


def _milliseconds(values: Sequence[float]) -> dict[str, Any]:
    """Median with its 95 % interval by order statistics (Conover 1999), and the 95th percentile."""
    n = len(values)
    if not n:
        return {**asdict(Estimate(None, None, None, 0)), "p95": None}
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    half = 0.98 * np.sqrt(n)  # 1.96 standard deviations of a binomial with p = 1/2
    low, high = max(0, int(np.floor(n / 2 - half))), min(n - 1, int(np.ceil(n / 2 + half)))
    middle = Estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[high]), n)
    return {**asdict(middle), "p95": float(np.percentile(ordered, 95))}


def _table(counts: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """Champion's decisions down, the challenger's across."""
    return [{"champion": one, **{other: counts[one, other] for other in _DECISIONS}} for one in _DECISIONS]


def _scores(champion: Sequence[float | None], challenger: Sequence[float | None]) -> dict[str, Any]:
    """Histograms of the probabilities (ten bins), and whether the two differ (PSI, Kolmogorov-Smirnov)."""
    sides = {
        "champion": [value for value in champion if value is not None],
        "challenger": [value for value in challenger if value is not None],
    }
    counts = {side: np.histogram(values, bins=_BINS, range=(0, 1))[0].tolist() for side, values in sides.items()}
    bins = [
        {"low": b / _BINS, "high": (b + 1) / _BINS, **{side: counts[side][b] for side in sides}} for b in range(_BINS)
    ]
    return {"bins": bins, "drift": asdict(drift.compare(sides["champion"], sides["challenger"]))}
