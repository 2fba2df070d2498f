"""Thresholds of the automatic answers: two promises, one a side, each kept with a stated confidence.

Missed: of all cataracts, at most a stated share leaves as an automatic "normal". False alarms: of the automatic
"cataract" answers, at most a stated share is wrong where a stated share of the eyes has a cataract. A side that cannot
keep its promise is off. Definitions, estimators and sources: docs/training.md.
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
    fast: ArrayLike, combined: ArrayLike, y: ArrayLike, limits: RiskLimits, prevalence: float | None = None
) -> Thresholds:
    """The widest thresholds with which the whole cascade keeps both promises.

    fast: probabilities (N,) of the fast model; combined: of both models together, NaN where they disagree; on
    independent photos that no model was fitted on. y: truth 0/1 (N,). prevalence: the share of cataract that the
    promise is about; the share in `y` when not given. An automatic answer counts whether the fast model gives it alone
    or both together do. Raises ValueError, also when a class is missing.
    """
    one, both, truth = np.asarray(fast, dtype=np.float64), np.asarray(combined, dtype=np.float64), np.asarray(y) == 1
    if not (len(one) == len(both) == len(truth) and np.isfinite(one).all()):
        raise ValueError("The thresholds need a finite probability for each label.")
    if not truth.any() or truth.all():
        raise ValueError("The thresholds need photos of both classes.")
    share = float(truth.mean()) if prevalence is None else prevalence
    if not 0 < share < 1:
        raise ValueError("The prevalence is above 0 and below 1.")
    # A photo is answered "normal" when `low` is below that threshold, "cataract" when `high` is above the other one.
    low, high = np.fmin(_shifted(one, _SURER), both), np.fmax(_shifted(one, -_SURER), both)  # which pass over NaN
    normal = _normal_side(low[truth], low, limits)
    cataract = _cataract_side(high[truth], high[~truth], limits, share)
    fast_low, fast_high = _shifted(normal.threshold, -_SURER), _shifted(cataract.threshold, _SURER)
    answered = (low < normal.threshold) | (high > cataract.threshold)
    coverage = share * float(answered[truth].mean()) + (1 - share) * float(answered[~truth].mean())
    return Thresholds(normal, cataract, float(fast_low), float(fast_high), share, coverage)


def _normal_side(cataracts: Values, everyone: Values, limits: RiskLimits) -> NormalSide:
    """The share that a threshold misses only grows with it, so a sequence of exact tests needs no correction."""
    n = len(cataracts)
    missed = np.searchsorted(np.sort(cataracts), _GRID)
    answers = everyone.min() < _GRID
    bounds = upper_bound(missed, n, limits.confidence)
    passing = np.flatnonzero(answers & (bounds <= limits.missed))
    if len(passing):
        best = passing[-1]
        message = (
            f"At most {_percent(limits.missed)} of all cataracts would leave as normal unseen "
            f"({_percent(limits.confidence)} confidence; {missed[best]} of {n} here)."
        )
        return NormalSide(float(_GRID[best]), int(missed[best]), n, float(bounds[best]), message)
    tried = int(answers.argmax()) if answers.any() else -1
    needed = photos_needed(int(missed[tried]), n, limits.missed, limits.confidence)
    message = (
        f"No photo is answered normal without a person: with {missed[tried]} of {n} cataracts missed, up to "
        f"{_percent(bounds[tried])} could be ({_percent(limits.confidence)} confidence), and the limit is "
        f"{_percent(limits.missed)}. {_more(needed, n, 'with cataract')}"
    )
    return NormalSide(0.0, 0, n, 1.0, message)


def _cataract_side(cataracts: Values, normals: Values, limits: RiskLimits, prevalence: float) -> CataractSide:
    """Fixed-sequence testing from strict to wide, up to the first rule that errs too often.

    A rule without a false alarm that fails is passed over: there are only too few photos for it.
    """
    of, n, thresholds = len(cataracts), len(normals), 1 - _GRID
    found = of - np.searchsorted(np.sort(cataracts), thresholds, side="right")
    alarms = n - np.searchsorted(np.sort(normals), thresholds, side="right")
    risk = 1 - limits.confidence
    confidence = 1 - (1 - _SENSITIVITY_PART) * risk
    # This bound holds for all thresholds at once (Massart 1990), so the tests of the false positives can rely on it.
    sensitivities = np.maximum(found / of - math.sqrt(-math.log(_SENSITIVITY_PART * risk) / (2 * of)), 0)
    wrong, right = (1 - prevalence) * upper_bound(alarms, n, confidence), prevalence * sensitivities
    bounds = wrong / (wrong + right)
    tried, passes = found >= _START * of, bounds <= limits.false_alarms
    failing = np.flatnonzero(tried & ~passes & (alarms > 0))
    end = int(failing[0]) if len(failing) else len(thresholds)
    passing = np.flatnonzero((tried & passes)[:end])
    where = f"where {_percent(prevalence)} of the eyes have a cataract"
    if len(passing):
        best = passing[-1]
        message = (
            f"At most {_percent(limits.false_alarms)} of the automatic cataract answers would be wrong {where} "
            f"({_percent(limits.confidence)} confidence; {alarms[best]} of {n} normal eyes and {found[best]} of {of} "
            "cataracts here)."
        )
        counts = int(alarms[best]), n, int(found[best]), of
        return CataractSide(float(thresholds[best]), *counts, float(bounds[best]), message)
    last = min(end, len(thresholds) - 1)
    allowed = limits.false_alarms / (1 - limits.false_alarms) * right[last] / (1 - prevalence)
    needed = photos_needed(int(alarms[last]), n, float(allowed), confidence)
    if not tried[last]:
        why = f"{where}, the models are sure of {found[last]} of {of} cataracts only. {_more(None, of, '')}"
    elif not allowed:
        why = f"there are {of} cataracts only. More photos with cataract are needed."
    else:
        why = (
            f"with {alarms[last]} of {n} normal eyes called cataract, up to {_percent(bounds[last])} of these answers "
            f"could be wrong {where} ({_percent(limits.confidence)} confidence), and the limit is "
            f"{_percent(limits.false_alarms)}. {_more(needed, n, 'without cataract')}"
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


def photos_needed(errors: int, n: int, limit: float, confidence: float) -> int | None:
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


def _more(needed: int | None, n: int, kind: str) -> str:
    if needed is None:
        return "More photos would not help: the models must err less."
    return f"About {max(needed - n, 1):,} more photos {kind} are needed."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
