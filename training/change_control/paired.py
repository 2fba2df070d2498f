"""Two releases on the same photos: paired measures, and the interval of their difference by whole clusters.

Intention to screen (STARD-AI): a photo that a release cannot judge is referred to a person, so it counts as positive
for sensitivity and for specificity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cataract.ml.labels import CATARACT, NORMAL, Decision

Array = NDArray[np.float64]
SIDES = ("champion", "challenger")


@dataclass(frozen=True)
class Output:
    """What one release said of one photo. probability: None when it gave none; milliseconds: of processor time."""

    decision: str
    probability: float | None
    needs_review: bool
    milliseconds: float


@dataclass(frozen=True)
class Photo:
    """One photo with its truth and both outputs.

    seen_by: the releases fitted on it ("champion", "challenger"). weight: 1 / the probability that it was read, the
    number of incoming photos that it represents; 1 for a test photo.
    """

    image: str
    cluster: int
    truth: str
    champion: Output
    challenger: Output
    groups: dict[str, str] = field(default_factory=dict)
    seen_by: tuple[str, ...] = ()
    weight: float = 1.0


def sensitivity(outputs: "Outputs", weights: Array) -> Array:
    return _mean(outputs.decision != NORMAL, weights * outputs.truth)


def specificity(outputs: "Outputs", weights: Array) -> Array:
    return _mean(outputs.decision == NORMAL, weights * ~outputs.truth)


def ungradable(outputs: "Outputs", weights: Array) -> Array:
    return _mean(outputs.decision == Decision.UNGRADABLE.value, weights)


def roc_auc(outputs: "Outputs", weights: Array) -> Array:
    """Rank statistic over the photos that have a probability (Hanley and McNeil 1982); a tie counts one half.

    The pairs are compared once for all B resamples, where `sklearn.metrics.roc_auc_score` would sort B times.
    """
    judged = ~np.isnan(outputs.probability)
    positive, negative = judged & outputs.truth, judged & ~outputs.truth
    gap = outputs.probability[positive][:, None] - outputs.probability[negative][None, :]
    wins = (gap > 0) + 0.5 * (gap == 0)
    above, below = weights[:, positive], weights[:, negative]
    return _ratio(((above @ wins) * below).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))


def ece(outputs: "Outputs", weights: Array) -> Array:
    """Expected calibration error over 10 bins of equal width (Guo et al. 2017)."""
    judged = ~np.isnan(outputs.probability)
    p, y, w = outputs.probability[judged], outputs.truth[judged], weights[:, judged]
    bins = np.minimum((p * 10).astype(int), 9)
    error = sum((abs(w[:, bins == b] @ (p - y)[bins == b]) for b in range(10)), np.zeros(len(w)))
    return _ratio(error, w.sum(axis=1))


@dataclass(frozen=True)
class Outputs:
    """The outputs of one release for N photos as arrays (N,). A missing probability is NaN."""

    truth: NDArray[np.bool_]
    decision: NDArray[np.str_]
    probability: Array

    @classmethod
    def of(cls, photos: Sequence[Photo], side: str) -> "Outputs":
        outputs = [output_of(photo, side) for photo in photos]
        return cls(
            truth=np.array([photo.truth == CATARACT for photo in photos], dtype=bool),
            decision=np.array([output.decision for output in outputs], dtype="<U10"),
            probability=np.array([np.nan if o.probability is None else o.probability for o in outputs], dtype=float),
        )


# A measure maps the weights (B, N) of B resamples to (B,), NaN where it is undefined; +1: more is better, -1: less.
MEASURES: dict[str, tuple[Callable[[Outputs, Array], Array], int]] = {
    "sensitivity": (sensitivity, 1),
    "specificity": (specificity, 1),
    "roc_auc": (roc_auc, 1),
    "ece": (ece, -1),
    "ungradable": (ungradable, -1),
}


@dataclass(frozen=True)
class Paired:
    """One measure of both releases on the same photos; None where it is undefined (without a photo of a class)."""

    champion: float | None
    challenger: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def value_of(name: str, photos: Sequence[Photo], side: str) -> float | None:
    """One measure of one release on these photos; None where it is undefined."""
    value = float(MEASURES[name][0](Outputs.of(photos, side), _weights(photos)[None, :])[0])
    return None if math.isnan(value) else value


def compare_measure(name: str, photos: Sequence[Photo], *, resamples: int, confidence: float, seed: int) -> Paired:
    """One measure of both releases, and the percentile bootstrap interval of its paired difference.

    Each resample draws whole clusters, the same for both releases (Efron and Tibshirani 1993).
    """
    before, after = (value_of(name, photos, side) for side in SIDES)
    if before is None or after is None:
        return Paired(before, after)
    measure = MEASURES[name][0]
    _, cluster = np.unique([photo.cluster for photo in photos], return_inverse=True)
    count = int(cluster.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    weights = drawn[:, cluster] * _weights(photos)
    lower, upper = (measure(Outputs.of(photos, side), weights) for side in SIDES)
    differences = (upper - lower)[~np.isnan(upper - lower)]
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(differences, [tail, 100 - tail]) if len(differences) else (-1.0, 1.0)
    return Paired(before, after, after - before, float(low), float(high))


def output_of(photo: Photo, side: str) -> Output:
    """The output of that side (of `SIDES`) for the photo."""
    return photo.champion if side == "champion" else photo.challenger


def is_right(photo: Photo, side: str) -> bool:
    """Whether the decision of that side equals the truth."""
    return output_of(photo, side).decision == photo.truth


def clusters_with(photos: Sequence[Photo], truth: str) -> int:
    """The number of clusters with a photo of this truth."""
    return len({photo.cluster for photo in photos if photo.truth == truth})


def _weights(photos: Sequence[Photo]) -> Array:
    return np.array([photo.weight for photo in photos], dtype=np.float64)


def _mean(values: NDArray[np.bool_], weights: Array) -> Array:
    return _ratio(weights @ values, weights.sum(axis=1))


def _ratio(above: Array, below: Array) -> Array:
    """above / below, NaN where below is 0."""
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0), dtype=np.float64)
