"""The report of a test in shadow: champion and challenger on the same photos."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from cataract.ml.labels import CATARACT, CLASSES, Decision
from cataract.ml.statistics import drift
from predictions.answering.models import Prediction
from predictions.releases.models import LiveTest
from predictions.shadow.models import ShadowAnswer
from review.labels.models import Label
from training.change_control import paired
from training.comparison.measure_rows import TITLES
from training.livetests.figures import is_unsure, latency_row, share_row

FLIPS_SHOWN = 50
_BINS = 10
_DECISIONS = Prediction.Decision.values


class _Output(NamedTuple):
    """One release's output for one photo."""

    decision: str
    probability: float | None
    needs_review: bool
    timings: dict[str, float]
    reasons: Sequence[str] = ()


class _Pair(NamedTuple):
    """Both outputs for one photo, as plain columns: model instances of 20,000 photos would take seconds to make."""

    prediction: UUID
    image: UUID
    cluster: int
    made_at: datetime
    error: str
    champion: _Output
    challenger: _Output


_PHOTO_COLUMNS = (
    "prediction_id",
    "prediction__image_id",
    "prediction__image__cluster_id",
    "prediction__created_at",
    "error",
)
_OUTPUT_COLUMNS = ("decision", "probability", "needs_review", "timings")
_CHAMPION_COLUMNS = tuple(f"prediction__{name}" for name in (*_OUTPUT_COLUMNS, "reasons"))


def shadow_report(test: LiveTest) -> dict[str, Any]:
    """Agreement, score distributions, latency, figures by confirmed labels, and the photos on which the two differ."""
    pairs = _pairs(test)
    scored = [pair for pair in pairs if not pair.error]
    labels = _labels(test, scored)
    return {
        "photos": len(pairs),
        "failed": len(pairs) - len(scored),
        "measures": _measures(scored),
        "decisions": _table(Counter((pair.champion.decision, pair.challenger.decision) for pair in scored)),
        "scores": _scores(
            [pair.champion.probability for pair in scored], [pair.challenger.probability for pair in scored]
        ),
        "latency": _latency(scored),
        "labelled": _labelled(scored, labels),
        "flips": _flips(scored, labels),
    }


def _pairs(test: LiveTest) -> list[_Pair]:
    answers = ShadowAnswer.objects.filter(test=test).order_by("prediction__created_at")
    rows = answers.values_list(*_PHOTO_COLUMNS, *_CHAMPION_COLUMNS, *_OUTPUT_COLUMNS)
    return [_Pair._make([*row[:5], _Output._make(row[5:10]), _Output(*row[10:])]) for row in rows]


def _measures(pairs: Sequence[_Pair]) -> list[dict[str, Any]]:
    clusters = [pair.cluster for pair in pairs]
    # A challenger in shadow draws no random audit: its doubts are its own.
    to_person = [is_unsure(pair.champion.needs_review, pair.champion.reasons) for pair in pairs]
    return [
        share_row("Same decision", [pair.champion.decision == pair.challenger.decision for pair in pairs], clusters),
        share_row("Champion: sent to a person", to_person, clusters),
        share_row("Challenger: sent to a person", [pair.challenger.needs_review for pair in pairs], clusters),
        share_row("Champion: cannot judge", [_cannot_judge(pair.champion) for pair in pairs], clusters),
        share_row("Challenger: cannot judge", [_cannot_judge(pair.challenger) for pair in pairs], clusters),
    ]


def _cannot_judge(output: _Output) -> bool:
    return output.decision == Decision.UNGRADABLE


def _flips(pairs: Sequence[_Pair], labels: Mapping[UUID, Label]) -> list[dict[str, Any]]:
    """The newest photos whose decisions differ."""
    differing = [pair for pair in reversed(pairs) if pair.champion.decision != pair.challenger.decision]
    return [
        {
            "prediction": str(pair.prediction),
            "image": str(pair.image),
            "champion": pair.champion.decision,
            "challenger": pair.challenger.decision,
            "champion_probability": pair.champion.probability,
            "challenger_probability": pair.challenger.probability,
            "truth": labels[pair.image].answer if pair.image in labels else "",
        }
        for pair in differing[:FLIPS_SHOWN]
    ]


def _labels(test: LiveTest, pairs: Iterable[_Pair]) -> dict[UUID, Label]:
    """The standing cataract or normal labels of these photos, confirmed after the prediction, not after seeing it."""
    made = {pair.image: pair.made_at for pair in pairs}
    photos = ShadowAnswer.objects.filter(test=test).values("prediction__image")
    standing = Label.objects.best().filter(image__in=photos, answer__in=CLASSES)
    blind = standing.exclude(provenance=Label.Provenance.AFTER_AI)
    return {
        label.image_id: label for label in blind if label.image_id in made and label.created_at >= made[label.image_id]
    }


def _labelled(pairs: Sequence[_Pair], labels: Mapping[UUID, Label]) -> dict[str, Any]:
    """The paired measures of the change-control plan on the photos with a label."""
    photos = [
        paired.Photo(
            image=str(pair.image),
            cluster=pair.cluster,
            truth=labels[pair.image].answer,
            champion=_paired_output(pair.champion),
            challenger=_paired_output(pair.challenger),
            weight=labels[pair.image].weight,
        )
        for pair in pairs
        if pair.image in labels
    ]
    names = list(paired.MEASURES) if photos else []
    return {
        "photos": len(photos),
        "cataract": sum(photo.truth == CATARACT for photo in photos),
        "measures": [
            {"name": name, "title": TITLES[name], **asdict(paired.compare_measure(name, photos))} for name in names
        ],
    }


def _paired_output(output: _Output) -> paired.Output:
    return paired.Output(output.decision, output.probability, output.needs_review, milliseconds=0.0)


def _latency(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """The time of the cascade alone: the stages that both have. The champion's was measured in the web process."""
    stages = sorted({stage for pair in pairs for stage in pair.challenger.timings})
    times = {
        "champion": [_sum(pair.champion.timings, stages) for pair in pairs],
        "challenger": [_sum(pair.challenger.timings, stages) for pair in pairs],
    }
    return {side: latency_row(values) for side, values in times.items()}


def _sum(timings: Mapping[str, float], stages: Iterable[str]) -> float:
    return sum(float(timings.get(stage, 0.0)) for stage in stages)


def _table(counts: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """The champion's decisions down, the challenger's across."""
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
