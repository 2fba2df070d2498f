"""The one definition of each measure: every page, report, gate and command computes it here (docs/measures.md).

A photo that cannot be judged goes to a person, as a photo called cataract does, so it counts as positive (intention to
screen, STARD-AI 2025) and is also counted by itself. Measures of the probability are of the graded photos, and state
their number: a photo that cannot be judged has no probability.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics.intervals import (
    Array,
    Estimate,
    Z,
    bootstrap,
    clustered_variance,
    effective_number,
    group_numbers,
    nothing,
    weighted_share,
    wilson,
)

_BINS = 10
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """What was answered about N photos, as arrays (N,); `of` makes them.

    truth: whether it is a cataract; decision: a value of `Decision`; probability: of cataract, NaN where there is none;
    weight: how many photos it stands for; group: the number of its cluster.
    """

    truth: Mask
    decision: NDArray[np.str_]
    probability: Array
    weight: Array
    group: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        truth: ArrayLike,
        decision: Sequence[str] | NDArray[Any],
        probability: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        clusters: ArrayLike | None = None,
    ) -> "Answers":
        """Raises ValueError when the lengths differ or a photo with a class has no finite probability."""
        n = len(np.asarray(truth))
        answers = cls(
            np.asarray(truth).astype(bool),
            np.asarray(decision, dtype=str),
            np.asarray(probability, dtype=np.float64),
            np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64),
            group_numbers(clusters, n),
        )
        if len({n, *map(len, (answers.decision, answers.probability, answers.weight, answers.group))}) > 1:
            raise ValueError("Truth, decisions, probabilities, weights and clusters must have the same length.")
        if not np.isfinite(answers.probability[answers.decision != Decision.UNGRADABLE.value]).all():
            raise ValueError("A photo that was given a class has no finite probability.")
        return answers

    @property
    def graded(self) -> Mask:
        """Whether a photo was given a class, and so a probability."""
        return np.asarray(self.decision != Decision.UNGRADABLE.value)

    @property
    def positive(self) -> Mask:
        """Whether a photo goes to a person as a suspect: called cataract, or it cannot be judged."""
        return np.asarray(self.decision != NORMAL)

    def only(self, rows: Mask) -> "Answers":
        """Those of some photos."""
        groups = group_numbers(self.group[rows], int(rows.sum()))
        return Answers(self.truth[rows], self.decision[rows], self.probability[rows], self.weight[rows], groups)


# Shares: of which photos, and which of them count -------------------------------------------------------------------
Share = Callable[[Answers], tuple[Mask, Mask]]
SHARES: dict[str, Share] = {
    "accuracy": lambda a: (np.ones(len(a.truth), dtype=bool), a.decision == np.where(a.truth, CATARACT, NORMAL)),
    "sensitivity": lambda a: (a.truth, a.positive),
    "specificity": lambda a: (~a.truth, ~a.positive),
    "precision": lambda a: (a.positive, a.truth),
    "negative_predictive_value": lambda a: (~a.positive, ~a.truth),
    "recall": lambda a: (a.truth, a.positive),
    "ungradable": lambda a: (np.ones(len(a.truth), dtype=bool), ~a.graded),
}


def share(name: str, answers: Answers) -> Estimate:
    """A measure of `SHARES`; its n is the number of photos that it is a share of."""
    among, hit = SHARES[name](answers)
    groups = group_numbers(answers.group[among], int(among.sum()))
    return weighted_share(hit[among], answers.weight[among], groups)


# Measures of the probability, on graded photos ----------------------------------------------------------------------
def roc_auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """The chance that a photo with cataract is ranked above one without, ties counting half; NaN for one class."""
    truth = np.asarray(y).astype(bool)
    if truth.all() or not truth.any():
        return math.nan
    weights = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=np.float64)
    above = placements(truth, np.asarray(p, dtype=np.float64), weights)[truth]
    return float((above * weights[truth]).sum() / weights[truth].sum())


def placements(truth: Mask, p: Array, weight: Array) -> Array:
    """For each photo the share of the other class that it is ranked on the right side of, ties counting half."""
    result = np.empty(len(p))
    for side, sign in ((truth, 1.0), (~truth, -1.0)):
        others = np.argsort(sign * p[~side], kind="stable")
        ranked, total = (sign * p[~side])[others], np.concatenate([[0.0], np.cumsum(weight[~side][others])])
        below, up_to = (total[np.searchsorted(ranked, sign * p[side], where)] for where in ("left", "right"))
        result[side] = (below + up_to) / 2 / total[-1]
    return result


def auc_variance(truth: Mask, residuals: Array, weight: Array, group: NDArray[np.int64]) -> float:
    """The variance of a ROC-AUC, or of a difference, from its placements less their mean, (N,).

    DeLong et al. (1988), for clusters by Obuchowski (1997): a cluster may hold photos of both classes.
    """
    size = int(group.max()) + 1
    parts, factors = [], []
    for side in (truth, ~truth):
        parts.append(np.bincount(group[side], (weight * residuals)[side], minlength=size) / weight[side].sum())
        count = len(np.unique(group[side]))
        factors.append(count / (count - 1) if count > 1 else 1.0)
    own = sum(factor * float((part**2).sum()) for factor, part in zip(factors, parts, strict=True))
    all_clusters = len(np.unique(group))
    shared = 2 * float((parts[0] * parts[1]).sum()) * (all_clusters / max(all_clusters - 1, 1))
    return max(own + shared, 0.0)


def balanced_number(truth: Mask, weight: Array, group: NDArray[np.int64]) -> float:
    """The effective number of clusters of two classes: twice the harmonic mean of both, all of them where equal."""
    sick, well = (
        effective_number(weight[side], group_numbers(group[side], int(side.sum()))) for side in (truth, ~truth)
    )
    return 4 * sick * well / (sick + well)


def _roc_auc(answers: Answers) -> Estimate:
    """With Wilson's interval for the effective number of photos that its variance leaves, so never an empty one."""
    value = roc_auc(answers.truth, answers.probability, answers.weight)
    if math.isnan(value):
        return nothing()
    residuals = placements(answers.truth, answers.probability, answers.weight) - value
    variance = auc_variance(answers.truth, residuals, answers.weight, answers.group)
    effective = balanced_number(answers.truth, answers.weight, answers.group)
    if variance > 0:
        effective = min(effective, value * (1 - value) / variance)
    return Estimate(value, *wilson(value * effective, effective), len(answers.truth))


def calibration_error(answers: Answers) -> tuple[float, Array]:
    """(ECE, the part of each photo in it, (N,)): the expected calibration error over ten equal bins.

    The gap of each bin between the stated and the observed share (Naeini et al. 2015) loses its sampling variance
    first: chance alone opens gaps, and more so the fewer photos (Ferro and Fricker 2012; Kumar et al. 2019). The sum of
    the parts is the sum of the gaps without that correction.
    """
    total = answers.weight.sum()
    residual = answers.weight * (answers.truth - answers.probability) / total
    places = np.minimum((answers.probability * _BINS).astype(np.int64), _BINS - 1)
    error, parts = 0.0, np.zeros(len(residual))
    for place in np.unique(places):
        here = places == place
        gap = float(residual[here].sum())
        error += math.sqrt(max(gap**2 - _variance_of_gap(answers, residual, here, total), 0.0))
        parts[here] = math.copysign(1.0, gap) * residual[here]
    return error, parts


def _variance_of_gap(answers: Answers, residual: Array, here: Mask, total: float) -> float:
    weight, group = answers.weight[here] / total, group_numbers(answers.group[here], int(here.sum()))
    if group.max() == 0:  # one cluster says nothing of the others: take the stated probability at its word
        p = answers.probability[here]
        return float((weight**2 * p * (1 - p)).sum())
    mean = residual[here].sum() / weight.sum()
    sums = np.bincount(group, residual[here] - weight * mean)
    return float((sums**2).sum() * len(sums) / (len(sums) - 1))


def _ece(answers: Answers) -> Estimate:
    """With the normal interval by the linearised variance over clusters, cut at 0 and 1."""
    if not len(answers.truth):
        return nothing()
    value, parts = calibration_error(answers)
    centred = parts - answers.weight / answers.weight.sum() * parts.sum()
    half = Z * math.sqrt(clustered_variance(centred, answers.group))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), len(answers.truth))


def pr_auc(y: NDArray[Any], p: NDArray[Any], weight: Array) -> float:
    """Average precision: the area under the precision-recall steps; NaN when no photo has cataract."""
    if not y.any():
        return math.nan
    order = np.argsort(-p, kind="stable")
    last = np.append(np.diff(p[order]) != 0, True)  # photos with equal probability are found together
    found, called = np.cumsum((y * weight)[order])[last], np.cumsum(weight[order])[last]
    return float((np.diff(found, prepend=0) * found / called).sum() / found[-1])


def _sensitivity_at_specificity(y: NDArray[Any], p: NDArray[Any], weight: Array, specificity: float = 0.95) -> float:
    sick = y.astype(bool)
    if sick.all() or not sick.any():
        return math.nan
    order = np.argsort(p[~sick], kind="stable")
    passed = np.cumsum(weight[~sick][order])
    threshold = p[~sick][order][min(np.searchsorted(passed, specificity * passed[-1] - 1e-9), len(order) - 1)]
    return float((weight[sick] * (p[sick] > threshold)).sum() / weight[sick].sum())


def _brier(answers: Answers) -> Estimate:
    """The mean squared error of the probability (Brier 1950), with the normal interval over clusters."""
    if not len(answers.truth):
        return nothing()
    share = answers.weight / answers.weight.sum()
    errors = (answers.probability - answers.truth) ** 2
    value = float(share @ errors)
    half = Z * math.sqrt(clustered_variance(share * (errors - value), answers.group))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), len(errors))


def _f1(answers: Answers) -> Estimate:
    """The harmonic mean of precision and recall, with Wilson's interval as for a share (linearised ratio)."""
    found = answers.weight * 2 * (answers.truth & answers.positive)
    total = answers.weight * (answers.truth.astype(np.float64) + answers.positive)
    if not total.sum():
        return nothing()
    value = float(found.sum() / total.sum())
    effective = effective_number(answers.weight, answers.group)
    variance = clustered_variance(found - value * total, answers.group) / float(total.sum()) ** 2
    if variance > 0:
        effective = min(effective, value * (1 - value) / variance)
    return Estimate(value, *wilson(value * effective, effective), len(answers.truth))


# All of them ----------------------------------------------------------------------------------------------------------
NAMES = (*SHARES, "f1", "roc_auc", "pr_auc", "sensitivity_at_95_specificity", "ece", "brier")


def estimate(name: str, answers: Answers, *, seed: int = 0) -> Estimate:
    """One of `NAMES`, with its interval and the number of photos behind it."""
    if name in SHARES:
        return share(name, answers)
    if name == "f1":
        return _f1(answers)
    graded = answers.only(answers.graded)
    if name in _RESAMPLED:
        return _resampled(_RESAMPLED[name], graded, seed)
    return {"roc_auc": _roc_auc, "ece": _ece, "brier": _brier}[name](graded)


_Plain = Callable[[NDArray[Any], NDArray[Any], Array], float]
_RESAMPLED: dict[str, _Plain] = {
    "pr_auc": pr_auc,
    "sensitivity_at_95_specificity": _sensitivity_at_specificity,
}


def _resampled(measure: _Plain, graded: Answers, seed: int) -> Estimate:
    def of(times: Array) -> float:
        drawn = times > 0
        return measure(graded.truth[drawn], graded.probability[drawn], (graded.weight * times)[drawn])

    return bootstrap(of, graded.group, seed)
