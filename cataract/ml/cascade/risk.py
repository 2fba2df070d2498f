"""Thresholds of the automatic answers: two promises, one a side, each kept with a stated confidence.

Missed: of all cataracts, at most a stated share leaves as an automatic "normal". False alarms: of the automatic
"cataract" answers, at most a stated share is wrong where a stated share of the eyes has a cataract. A side that cannot
keep its promise is off. Photos that were chosen to be read with unequal chances count with weights. Definitions,
estimators and sources: docs/training.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# An answer nearer to 0.5 than `MARGIN` is never automatic; the models disagree when both are further from it, on
# opposite sides. So no photo is sure on one side by the fast model and on the other by both.
MARGIN = 0.2
# The thresholds that are tried on the side "normal", from the strictest to the widest; those of "cataract" mirror them.
_GRID = 1 / (1 + np.exp(np.arange(9, math.log((0.5 + MARGIN) / (0.5 - MARGIN)), -0.1)))
# The log-odds by which the fast model must be surer than both models together to answer alone.
_SURER = 1.0
# The strictest threshold for "cataract" that is tried answers this share of the cataracts.
_START = 0.5
# The part of the error probability that the bound on the sensitivity takes; that on the false positives takes the rest.
_SENSITIVITY_PART = 0.1
# With weights, the sensitivity is bounded at every eighth threshold; those between rely on the stricter one.
_STEP = 8
# What a bettor against the bound stakes, as shares of all he has, and how much of his money lies on each.
_STAKES = ((1.0, 0.5), (0.8, 0.1), (0.6, 0.1), (0.4, 0.1), (0.25, 0.1), (0.1, 0.1))

Values = NDArray[np.float64]


@dataclass(frozen=True)
class RiskLimits:
    """What automatic answers promise.

    missed: the largest share of all cataracts that leaves as an automatic "normal". false_alarms: the largest share of
    automatic "cataract" answers that is wrong. confidence: of each of the two. Raises ValueError.
    """

    missed: float = 0.01
    false_alarms: float = 0.05
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0 < self.missed < 0.5 and 0 < self.false_alarms < 0.5 and 0.5 <= self.confidence < 1):
            raise ValueError("Limits are above 0 and below 0.5, the confidence is at least 0.5 and below 1.")


@dataclass(frozen=True)
class NormalSide:
    """Below `threshold` a photo is answered "normal"; 0: never.

    missed of the `of` cataracts were; bound: the upper confidence limit of that share.
    """

    threshold: float
    missed: int
    of: int
    bound: float
    message: str

    @property
    def is_on(self) -> bool:
        return self.threshold > 0


@dataclass(frozen=True)
class CataractSide:
    """Above `threshold` a photo is answered "cataract"; 1: never.

    false_alarms of the `of` normal eyes and `found` of the `cataracts` were; bound: the upper confidence limit of the
    share of wrong answers among these, at the stated prevalence.
    """

    threshold: float
    false_alarms: int
    of: int
    found: int
    cataracts: int
    bound: float
    message: str

    @property
    def is_on(self) -> bool:
        return self.threshold < 1


@dataclass(frozen=True)
class Thresholds:
    """Both sides, and the probabilities beyond which the fast model answers alone.

    coverage: the share of photos that is answered without a person, at `prevalence`.
    """

    normal: NormalSide
    cataract: CataractSide
    fast_low: float
    fast_high: float
    prevalence: float
    coverage: float


def choose_thresholds(
    fast: ArrayLike,
    combined: ArrayLike,
    y: ArrayLike,
    limits: RiskLimits,
    prevalence: float | None = None,
    weights: ArrayLike | None = None,
) -> Thresholds:
    """The widest thresholds with which the whole cascade keeps both promises.

    fast: probabilities (N,) of the fast model; combined: of both models together, NaN where they disagree; on
    independent photos that no model was fitted on. y: truth 0/1 (N,). prevalence: the share of cataract that the
    promise is about; the share in `y` when not given. weights: (N,), in proportion to 1 / the chance with which the
    photo was chosen, the least likely ones among them; equal by default. An automatic answer counts whether the fast
    model gives it alone or both together do. Raises ValueError, also when a class is missing.
    """
    one, both, truth = np.asarray(fast, dtype=np.float64), np.asarray(combined, dtype=np.float64), np.asarray(y) == 1
    if not (len(one) == len(both) == len(truth) and np.isfinite(one).all()):
        raise ValueError("The thresholds need a finite probability for each label.")
    if not truth.any() or truth.all():
        raise ValueError("The thresholds need photos of both classes.")
    weight = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (len(weight) == len(truth) and (weight > 0).all() and np.isfinite(weight).all()):
        raise ValueError("Each label needs a positive weight.")
    weight = weight / weight.max()
    share = float(np.average(truth, weights=weight)) if prevalence is None else prevalence
    if not 0 < share < 1:
        raise ValueError("The prevalence is above 0 and below 1.")
    # A photo is answered "normal" when `low` is below that threshold, "cataract" when `high` is above the other one.
    low, high = np.fmin(_shifted(one, _SURER), both), np.fmax(_shifted(one, -_SURER), both)  # which pass over NaN
    normal = _normal_side(_Group(low[truth], weight[truth]), low, limits)
    cataract = _cataract_side(_Group(high[truth], weight[truth]), _Group(high[~truth], weight[~truth]), limits, share)
    fast_low, fast_high = _shifted(normal.threshold, -_SURER), _shifted(cataract.threshold, _SURER)
    answered = (low < normal.threshold) | (high > cataract.threshold)
    of_class = [float(np.average(answered[truth == label], weights=weight[truth == label])) for label in (False, True)]
    coverage = share * of_class[1] + (1 - share) * of_class[0]
    return Thresholds(normal, cataract, float(fast_low), float(fast_high), share, coverage)


@dataclass(frozen=True)
class _Group:
    """The photos of one class: the probability that decides (N,), and the weight of each, above 0 and at most 1."""

    p: Values
    weights: Values

    @property
    def is_weighted(self) -> bool:
        return bool(np.ptp(self.weights) > 0 or self.weights[0] < 1)

    @property
    def effective(self) -> float:
        """How many photos, each chosen with the smallest chance, these are worth where no error is seen."""
        return float(self.weights.sum())

    def beyond(self, thresholds: Values, *, below: bool) -> tuple[Values, Values]:
        """(number, weighted share) of the photos below, or above, each of the thresholds."""
        hits = self.p[:, None] < thresholds if below else self.p[:, None] > thresholds
        return hits.sum(axis=0), self.weights @ hits / self.weights.sum()

    def upper_bound(self, thresholds: Values, confidence: float, *, below: bool) -> Values:
        """The upper confidence limit of the share of photos below, or above, each of the thresholds."""
        if not self.is_weighted:
            return upper_bound(self.beyond(thresholds, below=below)[0], len(self.p), confidence)
        hits = self.p[:, None] < thresholds if below else self.p[:, None] > thresholds
        return np.array([weighted_upper_bound(hit, self.weights, confidence) for hit in hits.T])

    def at_least(self, thresholds: Values, risk: float) -> Values:
        """Lower confidence limits of the shares above the thresholds, from strict to wide, that hold all at once."""
        if not self.is_weighted:  # Massart 1990
            share = self.beyond(thresholds, below=False)[1]
            return np.maximum(share - math.sqrt(-math.log(risk) / (2 * len(self.p))), 0)
        some = np.arange(_STEP - 1, len(thresholds), _STEP)
        missed = self.p[:, None] <= thresholds[some]
        level = 1 - risk / len(some)
        bounds = np.array([1 - weighted_upper_bound(miss, self.weights, level) for miss in missed.T])
        # A wider threshold finds no less than a stricter one.
        return np.concatenate([np.zeros(_STEP - 1), np.repeat(bounds, _STEP)])[: len(thresholds)]


def _normal_side(cataracts: _Group, everyone: Values, limits: RiskLimits) -> NormalSide:
    """The share that a threshold misses only grows with it, so a sequence of exact tests needs no correction."""
    n = len(cataracts.p)
    missed, share = cataracts.beyond(_GRID, below=True)
    answers = everyone.min() < _GRID
    bounds = cataracts.upper_bound(_GRID, limits.confidence, below=True)
    passing = np.flatnonzero(answers & (bounds <= limits.missed))
    if len(passing):
        best = passing[-1]
        message = (
            f"At most {_percent(limits.missed)} of all cataracts would leave as normal unseen "
            f"({_percent(limits.confidence)} confidence; {missed[best]} of {n} here{_weighted(cataracts)})."
        )
        return NormalSide(float(_GRID[best]), int(missed[best]), n, float(bounds[best]), message)
    tried = int(answers.argmax()) if answers.any() else -1
    effective = cataracts.effective
    needed = photos_needed(share[tried] * effective, effective, limits.missed, limits.confidence)
    message = (
        f"No photo is answered normal without a person: with {missed[tried]} of {n} cataracts missed"
        f"{_weighted(cataracts)}, up to {_percent(bounds[tried])} could be ({_percent(limits.confidence)} confidence), "
        f"and the limit is {_percent(limits.missed)}. {_more(needed, effective, 'with cataract')}"
    )
    return NormalSide(0.0, 0, n, 1.0, message)


def _cataract_side(cataracts: _Group, normals: _Group, limits: RiskLimits, prevalence: float) -> CataractSide:
    """Fixed-sequence testing from strict to wide, up to the first rule that errs too often.

    A rule without a false alarm that fails is passed over: there are only too few photos for it.
    """
    of, n, thresholds = len(cataracts.p), len(normals.p), 1 - _GRID
    found, found_share = cataracts.beyond(thresholds, below=False)
    alarms, alarm_share = normals.beyond(thresholds, below=False)
    risk = 1 - limits.confidence
    confidence = 1 - (1 - _SENSITIVITY_PART) * risk
    # This bound holds for all thresholds at once, so the tests of the false positives can rely on it.
    sensitivities = cataracts.at_least(thresholds, _SENSITIVITY_PART * risk)
    wrong = (1 - prevalence) * normals.upper_bound(thresholds, confidence, below=False)
    right = prevalence * sensitivities
    bounds = wrong / (wrong + right)
    tried, passes = found_share >= _START, bounds <= limits.false_alarms
    failing = np.flatnonzero(tried & ~passes & (alarms > 0))
    end = int(failing[0]) if len(failing) else len(thresholds)
    passing = np.flatnonzero((tried & passes)[:end])
    where = f"where {_percent(prevalence)} of the eyes have a cataract"
    if len(passing):
        best = passing[-1]
        message = (
            f"At most {_percent(limits.false_alarms)} of the automatic cataract answers would be wrong {where} "
            f"({_percent(limits.confidence)} confidence; {alarms[best]} of {n} normal eyes and {found[best]} of {of} "
            f"cataracts here{_weighted(normals)})."
        )
        counts = int(alarms[best]), n, int(found[best]), of
        return CataractSide(float(thresholds[best]), *counts, float(bounds[best]), message)
    last = min(end, len(thresholds) - 1)
    allowed = limits.false_alarms / (1 - limits.false_alarms) * right[last] / (1 - prevalence)
    effective = normals.effective
    needed = photos_needed(alarm_share[last] * effective, effective, float(allowed), confidence)
    if not tried[last]:
        why = f"{where}, the models are sure of {found[last]} of {of} cataracts only. {_more(None, of, '')}"
    elif not allowed:
        why = f"there are {of} cataracts only. More photos with cataract are needed."
    else:
        why = (
            f"with {alarms[last]} of {n} normal eyes called cataract{_weighted(normals)}, up to "
            f"{_percent(bounds[last])} of these answers could be wrong {where} ({_percent(limits.confidence)} "
            f"confidence), and the limit is {_percent(limits.false_alarms)}. "
            f"{_more(needed, effective, 'without cataract')}"
        )
    return CataractSide(1.0, 0, n, 0, of, 1.0, f"No photo is answered cataract without a person: {why}")


def promises(policy: Mapping[str, Any]) -> list[str]:
    """What the automatic answers of a release promise, a sentence a side, from its policy.json."""
    if "normal" in policy:
        return [policy["normal"]["message"], policy["cataract"]["message"]]
    overall = policy.get("message") or (
        f"At most {_percent(policy['bound'])} of the automatic answers are wrong "
        f"({_percent(policy['confidence'])} confidence)."
    )
    return [
        overall,
        "This promise of an older version counts both kinds of error together: it sets no limit on missed cataracts.",
    ]


def upper_bound(errors: ArrayLike, n: float, confidence: float) -> Values:
    """The exact one-sided upper confidence limit of a share, `errors` of `n` (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    wrong = np.asarray(errors, dtype=np.float64)
    right = np.maximum(n - wrong, 0)
    return np.asarray(np.where(right > 0, beta.ppf(confidence, wrong + 1, np.where(right > 0, right, 1)), 1.0))


def weighted_upper_bound(errors: ArrayLike, weights: ArrayLike, confidence: float) -> float:
    """A one-sided upper confidence limit of the share of errors among photos chosen with unequal chances.

    errors: (N,) booleans; weights: (N,), 1 / the chance of each, scaled so that no photo could weigh more than 1. By
    betting (Waudby-Smith and Ramdas 2024): where the share is t or more, a bet on less gains nothing on average, so the
    money passes 1 / (1 - confidence) no more often than the confidence allows (Ville 1939). This holds for every N and
    all weights; Clopper and Pearson's limit of an effective number does not. With equal weights and without an error
    the bet that stakes all gives their limit.
    """
    wrong, weight = np.asarray(errors, dtype=np.bool_), np.asarray(weights, dtype=np.float64)
    stakes, money = (np.array(column)[:, None] for column in zip(*_STAKES, strict=True))
    kinds, kind_of = np.unique(weight, return_inverse=True)  # weights come in a few sizes
    right, missed = (np.bincount(kind_of[these], minlength=len(kinds)) for these in (~wrong, wrong))
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(missed, missed * np.log1p(-stakes * kinds), 0).sum(axis=1) + np.log(money[:, 0])

    def passes(share: float) -> bool:
        won = (right * np.log1p(stakes * kinds * share / (1 - share))).sum(axis=1)
        return bool(np.exp(np.minimum(lost + won, 700)).sum() >= 1 / (1 - confidence))

    low, high = float(weight[wrong].sum() / weight.sum()), 1.0
    if wrong.all():
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def photos_needed(errors: float, n: float, limit: float, confidence: float) -> int | None:
    """How many photos would show a share of at most `limit`, were it `errors` of `n`; None when that is too many."""
    rate = errors / n
    if rate >= limit:
        return None
    low, high = 0, 1
    while upper_bound(rate * high, high, confidence) > limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(rate * middle, middle, confidence) > limit:
            low = middle
        else:
            high = middle
    return high


def _shifted(probability: ArrayLike, log_odds: float) -> Values:
    """The probability, moved by `log_odds`; 0 and 1 stay."""
    p = np.asarray(probability, dtype=np.float64)
    odds = p * math.exp(log_odds)
    return np.asarray(odds / (odds + 1 - p))


def _weighted(group: _Group) -> str:
    return ", weighted by how rarely such photos are read" if group.is_weighted else ""


def _more(needed: int | None, n: float, kind: str) -> str:
    if needed is None:
        return "More photos would not help: the models must err less."
    return f"About {max(needed - round(n), 1):,} more photos {kind} are needed."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
