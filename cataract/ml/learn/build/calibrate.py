"""Held-out scores -> calibration and policy of a release. Never imports torch."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade import calibration
from cataract.ml.cascade.policy import Policy
from cataract.ml.cascade.risk import MARGIN, RiskLimits, choose_thresholds
from cataract.ml.statistics import splits

_FOLDS = 5
# The accurate model's share of the final log-odds is one of these, by log loss.
_SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)


@dataclass(frozen=True)
class HeldOut:
    """Raw scores (log-odds) of N photos by models fitted without them. note: in words, which photos these are.

    weights: (N,), in proportion to 1 / the chance with which the photo was chosen to be read; equal by default.
    """

    fast: Floats
    accurate: Floats
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    note: str
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.weights):
            object.__setattr__(self, "weights", np.ones(len(self.y)))

    def one_each(self) -> "HeldOut":
        """The first photo of each cluster."""
        return self.take(np.unique(self.clusters, return_index=True)[1])

    def take(self, rows: NDArray[Any]) -> "HeldOut":
        arrays = {name: getattr(self, name)[rows] for name in ("fast", "accurate", "y", "clusters", "weights")}
        return replace(self, **arrays)

    def at(self, prevalence: float) -> NDArray[np.float64]:
        """The weights (N,) with which this share of the photos shows a cataract."""
        positive = float(np.average(self.y == 1, weights=self.weights))
        return self.weights * np.where(self.y == 1, prevalence / positive, (1 - prevalence) / (1 - positive))


def calibrate(
    held: HeldOut, limits: RiskLimits, prevalence: float | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contents of calibration.json and policy.json.

    Everything is fitted on one photo per cluster: independent photos, weighted as `held` says. Scores are calibrated by
    Platt scaling; the thresholds come from `risk.choose_thresholds`, those of the fast model alone too. `prevalence` is
    the share of cataract that probabilities and promises are meant for, where it differs from the share in `held`
    (Elkan 2001): the curves shift by the difference of the log-odds.
    """
    single = held.one_each()
    curves, share = _curves(single, prevalence)
    fast, accurate = probabilities(single, curves)
    disagree = (np.minimum(fast, accurate) < 0.5 - MARGIN) & (np.maximum(fast, accurate) > 0.5 + MARGIN)
    combined = np.where(disagree, np.nan, _mixed(fast, accurate, share))
    chosen = choose_thresholds(fast, combined, single.y, limits, prevalence, single.weights)
    low, high = chosen.normal.threshold, chosen.cataract.threshold
    return curves, {
        "version": f"risk-{low:.4f}-{high:.4f}-w{share:.2f}",
        "fast_band": {"low": chosen.fast_low, "high": chosen.fast_high},
        "auto": {"normal_below": low, "cataract_above": high},
        "disagreement_margin": MARGIN,
        "accurate_weight": share,
        "limits": {"missed": limits.missed, "false_alarms": limits.false_alarms},
        "confidence": limits.confidence,
        "prevalence": chosen.prevalence,
        "coverage": chosen.coverage,
        "n": len(single.y),
        "calibrated_on": held.note,
        "normal": asdict(chosen.normal),
        "cataract": asdict(chosen.cataract),
    }


def cross_calibrated(
    held: HeldOut, policy: dict[str, Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities (fast, accurate, final) of one photo per cluster, each by curves that were fitted without it.

    held: one photo per cluster, of both classes. policy: whose fast band and prevalence count.
    """
    fewest = int(min(np.bincount(held.y, minlength=2)))
    fold_of = splits.folds(held.clusters.tolist(), held.y.tolist(), max(2, min(_FOLDS, fewest)), 0)
    fast, accurate, final = (np.full(len(held.y), np.nan) for _ in range(3))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        rest = held.take(~inside) if len(np.unique(held.y[~inside])) == 2 else held
        curves, share = _curves(rest, policy["prevalence"])
        fast[inside], accurate[inside] = probabilities(held.take(inside), curves)
        final[inside] = final_probability({**policy, "accurate_weight": share}, fast[inside], accurate[inside])
    return fast, accurate, final


def _curves(single: HeldOut, prevalence: float | None) -> tuple[dict[str, Any], float]:
    """The calibration of both models, and the accurate model's share of the final log-odds."""
    curves = {
        "fast": calibration.fit_platt(single.fast, single.y, single.weights),
        "accurate": calibration.fit_platt(single.accurate, single.y, single.weights),
    }
    one, two = probabilities(single, curves)
    share = min(_SHARES, key=lambda w: log_loss(_mixed(one, two, w), single.y, single.weights))
    if prevalence is not None:
        observed = float(np.average(single.y, weights=single.weights))
        for curve in curves.values():
            curve["intercept"] += float(np.log(prevalence / (1 - prevalence)) - np.log(observed / (1 - observed)))
    return curves, share


def probabilities(held: HeldOut, curves: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Calibrated probabilities (fast, accurate), (N,) each."""
    return calibration.apply(curves["fast"], held.fast), calibration.apply(curves["accurate"], held.accurate)


def final_probability(
    policy: dict[str, Any], fast: NDArray[np.float64], accurate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the cascade answers in mode "cascade", (N,): the fast probability where it is sure, else both combined."""
    rules = Policy.from_json(policy)
    is_sure = (fast < rules.band_low) | (fast > rules.band_high)
    return np.where(is_sure, fast, _mixed(fast, accurate, rules.accurate_weight))


def _mixed(fast: NDArray[np.float64], accurate: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    one, two = (np.log(np.clip(p, 1e-6, 1 - 1e-6) / np.clip(1 - p, 1e-6, 1)) for p in (fast, accurate))
    return np.asarray(1 / (1 + np.exp(-((1 - share) * one + share * two))))


def log_loss(p: NDArray[np.float64], y: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The weighted mean of the log losses of probabilities (N,)."""
    return float(np.average(losses(p, y), weights=weights))


def losses(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """The log loss of each probability, (N,)."""
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(-np.where(y == 1, np.log(clipped), np.log(1 - clipped)))
