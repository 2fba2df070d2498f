"""Held-out scores -> calibration and policy of a release. Never imports torch."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade import calibration
from cataract.ml.cascade.policy import Policy
from cataract.ml.cascade.risk import MARGIN, RiskLimits, choose_thresholds

# The accurate model's share of the final log-odds is one of these, by log loss.
_SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)


@dataclass(frozen=True)
class HeldOut:
    """Raw scores (log-odds) of N photos by models fitted without them. note: in words, which photos these are."""

    fast: Floats
    accurate: Floats
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    note: str

    def one_each(self) -> "HeldOut":
        """The first photo of each cluster."""
        return self.take(np.unique(self.clusters, return_index=True)[1])

    def take(self, rows: NDArray[Any]) -> "HeldOut":
        return HeldOut(self.fast[rows], self.accurate[rows], self.y[rows], self.clusters[rows], self.note)


def calibrate(
    held: HeldOut, limits: RiskLimits, prevalence: float | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contents of calibration.json and policy.json.

    Everything is fitted on one photo per cluster: independent photos. Scores are calibrated by Platt scaling; the
    thresholds come from `risk.choose_thresholds`, those of the fast model alone too. `prevalence` is the
    share of cataract that probabilities and promises are meant for, where it differs from the share in `held` (Elkan
    2001): the curves shift by the difference of the log-odds.
    """
    single = held.one_each()
    curves = {
        "fast": calibration.fit_platt(single.fast, single.y),
        "accurate": calibration.fit_platt(single.accurate, single.y),
    }
    share = min(_SHARES, key=lambda w: _log_loss(_mixed(*probabilities(single, curves), w), single.y))
    if prevalence is not None:
        observed = float(single.y.mean())
        for curve in curves.values():
            curve["intercept"] += float(np.log(prevalence / (1 - prevalence)) - np.log(observed / (1 - observed)))
    fast, accurate = probabilities(single, curves)
    disagree = (np.minimum(fast, accurate) < 0.5 - MARGIN) & (np.maximum(fast, accurate) > 0.5 + MARGIN)
    combined = np.where(disagree, np.nan, _mixed(fast, accurate, share))
    chosen = choose_thresholds(fast, combined, single.y, limits, prevalence)
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


def _log_loss(p: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(y == 1, np.log(clipped), np.log(1 - clipped))))
