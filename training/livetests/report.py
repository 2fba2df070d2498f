"""What a live test has shown so far: champion and challenger on the same photos (shadow), or arm against arm (A/B).

Rates have 95 % intervals by patient. What labels say is weighted for the chance with which each photo came to be read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from django.db.models import QuerySet
from django.utils import timezone

from cataract.ml.statistics import drift
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.releases import arms as registry
from predictions.releases.models import LiveTest
from predictions.shadow.models import ShadowAnswer
from review.agreement import estimates, in_service
from review.agreement.estimates import Estimate, Measure
from review.labels.models import Label
from training.change_control.paired import MEASURES, Answer, Photo, compare_measure
from training.change_control.rules import rules

FLIPS_SHOWN = 50
_BINS = 10
_LIVE = (EyeImage.Source.UPLOAD, EyeImage.Source.API)
_DECISIONS = Prediction.Decision.values


def report_on(test: LiveTest) -> dict[str, Any]:
    """The report of a live test, as JSON; its `kind` says which keys it has."""
    found = _shadow(test) if test.kind == LiveTest.Kind.SHADOW else _ab(test)
    return {"kind": test.kind, "planned": test.photos, "complete": found["photos"] >= test.photos, **found}


# In shadow ------------------------------------------------------------------------------------------------------------
class _Said(NamedTuple):
    """What one release said of one photo."""

    decision: str
    probability: float | None
    needs_review: bool
    timings: dict[str, float]
    reasons: Sequence[str] = ()


class _Pair(NamedTuple):
    """What both said of one photo. Plain columns: of 20,000 photos, rows of models would take seconds to make."""

    prediction: UUID
    image: UUID
    cluster: int
    made_at: datetime
    error: str
    champion: _Said
    challenger: _Said


_IN_PREDICTION = ("image_id", "image__cluster_id", "created_at")
_OF_PHOTO = ("prediction_id", *(f"prediction__{name}" for name in _IN_PREDICTION), "error")
_SAID = ("decision", "probability", "needs_review", "timings")
_OF_CHAMPION = tuple(f"prediction__{name}" for name in (*_SAID, "reasons"))


def _pairs(test: LiveTest) -> list[_Pair]:
    answers = ShadowAnswer.objects.filter(test=test).order_by("prediction__created_at")
    rows = answers.values_list(*_OF_PHOTO, *_OF_CHAMPION, *_SAID)
    return [_Pair._make([*row[:5], _Said._make(row[5:10]), _Said(*row[10:])]) for row in rows]


def _shadow(test: LiveTest) -> dict[str, Any]:
    pairs = _pairs(test)
    said = [pair for pair in pairs if not pair.error]
    clusters = [pair.cluster for pair in said]
    labels = _labels(test, said)
    return {
        "photos": len(pairs),
        "failed": len(pairs) - len(said),
        "measures": [
            _row("Same decision", [one.champion.decision == one.challenger.decision for one in said], clusters),
            _row("Champion: sent to a person", [_for_review(one.champion) for one in said], clusters),
            _row("Challenger: sent to a person", [one.challenger.needs_review for one in said], clusters),
            _row("Champion: cannot judge", [one.champion.decision == "ungradable" for one in said], clusters),
            _row("Challenger: cannot judge", [one.challenger.decision == "ungradable" for one in said], clusters),
        ],
        "decisions": _table(Counter((one.champion.decision, one.challenger.decision) for one in said)),
        "scores": _scores([one.champion.probability for one in said], [one.challenger.probability for one in said]),
        "latency": _shadow_latency(said),
        "labelled": _labelled(said, labels),
        "flips": [
            {
                "prediction": str(one.prediction),
                "image": str(one.image),
                "champion": one.champion.decision,
                "challenger": one.challenger.decision,
                "champion_probability": one.champion.probability,
                "challenger_probability": one.challenger.probability,
                "truth": labels[one.image].answer if one.image in labels else "",
            }
            for one in reversed(said)
            if one.champion.decision != one.challenger.decision
        ][:FLIPS_SHOWN],
    }


def _for_review(said: "_Said | _Answered") -> bool:
    """Whether the release itself was unsure: the random checks of sure answers are the system's, not its own."""
    return said.needs_review and list(said.reasons) != ["audit_sample"]


def _labels(test: LiveTest, pairs: Iterable[_Pair]) -> dict[UUID, Label]:
    """The standing cataract or normal labels of these photos that were confirmed after the answer."""
    made = {pair.image: pair.made_at for pair in pairs}
    photos = ShadowAnswer.objects.filter(test=test).values("prediction__image")
    standing = Label.objects.standing().filter(image__in=photos, answer__in=["cataract", "normal"])
    blind = standing.exclude(provenance=Label.Provenance.AFTER_AI)
    return {
        label.image_id: label for label in blind if label.image_id in made and label.created_at >= made[label.image_id]
    }


def _labelled(pairs: Sequence[_Pair], labels: Mapping[UUID, Label]) -> dict[str, Any]:
    photos = [
        Photo(
            image=str(pair.image),
            cluster=pair.cluster,
            truth=labels[pair.image].answer,
            champion=_answer(pair.champion),
            challenger=_answer(pair.challenger),
            weight=labels[pair.image].weight,
        )
        for pair in pairs
        if pair.image in labels
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


def _answer(said: _Said) -> Answer:
    return Answer(said.decision, said.probability, said.needs_review, 0.0)


def _shadow_latency(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """The time of the cascade itself: the stages that both have; the champion's was measured in the web process."""
    stages = sorted({stage for pair in pairs for stage in pair.challenger.timings})
    times = {
        "champion": [_sum(pair.champion.timings, stages) for pair in pairs],
        "challenger": [_sum(pair.challenger.timings, stages) for pair in pairs],
    }
    return {side: _milliseconds(values) for side, values in times.items()}


def _sum(timings: Mapping[str, float], stages: Iterable[str]) -> float:
    return sum(float(timings.get(stage, 0.0)) for stage in stages)


# A/B ------------------------------------------------------------------------------------------------------------------
class _Answered(NamedTuple):
    """One answer to an upload while the test ran."""

    patient: str
    cluster: int
    release: str
    decision: str
    needs_review: bool
    reasons: Sequence[str]
    timings: dict[str, float]


_OF_ANSWER = (
    "image__patient_key",
    "image__cluster_id",
    "release_id",
    "decision",
    "needs_review",
    "reasons",
    "timings",
)


def _ab(test: LiveTest) -> dict[str, Any]:
    until = test.ended_at or timezone.now()
    answered = Prediction.objects.filter(
        status=Prediction.Status.DONE, created_at__gte=test.started_at, created_at__lt=until, image__source__in=_LIVE
    )
    with_key = [_Answered(*row) for row in answered.exclude(image__patient_key="").values_list(*_OF_ANSWER)]
    read = [
        row for row in in_service.rows(since=test.started_at) if test.started_at <= row.made_at < until and row.patient
    ]
    arms = []
    for arm, release in (("champion", test.champion_id), ("challenger", test.challenger_id)):
        is_mine = arm == "challenger"
        mine = [one for one in with_key if registry.is_on_challenger(test, one.patient) == is_mine]
        cases = [row for row in read if registry.is_on_challenger(test, row.patient) == is_mine]
        arms.append(_arm(arm, release, mine, cases))
    return {"photos": len(with_key), "outside": _outside(answered), "arms": arms}


def _arm(arm: str, release: str, answers: Sequence[_Answered], cases: list[in_service.Chosen]) -> dict[str, Any]:
    clusters = [one.cluster for one in answers]
    rates = [
        _row("Said cataract", [one.decision == "cataract" for one in answers], clusters),
        _row("Cannot judge", [one.decision == "ungradable" for one in answers], clusters),
        _row("Sent to a person", [_for_review(one) for one in answers], clusters),
    ]
    return {
        "arm": arm,
        "release": release,
        "patients": len({one.patient for one in answers}),
        "photos": len(answers),
        "other_release": sum(one.release != release for one in answers),
        "read": sum(row.is_read for row in cases),
        "measures": rates + [_named(measure) for measure in in_service.measures(cases)],
        "latency": _milliseconds([one.timings["total"] for one in answers if "total" in one.timings]),
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
