"""Held-out scores -> calibration and policy of a release. Never imports torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade import calibration
from cataract.ml.cascade.policy import Policy, combine, is_unsure

# The accurate model's share of the final log-odds is one of these, by log loss.
_SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)
_DISAGREEMENT = 0.2


@dataclass(frozen=True)
class HeldOut:
    """Raw scores (log-odds) of N photos by models fitted without them. note: in words, which photos these are."""

    fast: Floats
    accurate: Floats
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    note: str

    def take(self, rows: NDArray[Any]) -> "HeldOut":
        return HeldOut(self.fast[rows], self.accurate[rows], self.y[rows], self.clusters[rows], self.note)


def calibrate(
    held: HeldOut, *, max_error: float, confidence: float, prevalence: float | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contents of calibration.json and policy.json.

    Everything is fitted on one photo per cluster: independent photos. Scores are calibrated by Platt scaling. The fast
    model answers alone where its own probability of error is below `max_error`; the thresholds of the final probability
    come from `calibration.choose_band`. `prevalence` is the share of cataract that the probabilities are meant for,
    where it differs from the share in `held` (Elkan 2001): the curves shift by the difference of the log-odds.
    """
    _, one_each = np.unique(held.clusters, return_index=True)
    curves = {
        "fast": calibration.fit_platt(held.fast[one_each], held.y[one_each]),
        "accurate": calibration.fit_platt(held.accurate[one_each], held.y[one_each]),
    }
    if prevalence is not None:
        observed = float(held.y[one_each].mean())
        for curve in curves.values():
            curve["intercept"] += float(np.log(prevalence / (1 - prevalence)) - np.log(observed / (1 - observed)))
    fast, accurate = probabilities(held, curves)
    share = min(_SHARES, key=lambda w: _log_loss(_mixed(fast, accurate, w)[one_each], held.y[one_each]))
    policy: dict[str, Any] = {
        "version": "",
        "fast_band": {"low": max_error, "high": 1 - max_error},
        "auto": {"normal_below": 0.0, "cataract_above": 1.0},
        "disagreement_margin": _DISAGREEMENT,
        "accurate_weight": share,
        "target_error": max_error,
        "confidence": confidence,
        "calibrated_on": held.note,
    }
    final = final_probability(policy, fast, accurate)
    band = calibration.choose_band(final[one_each], held.y[one_each], max_error=max_error, confidence=confidence)
    policy["auto"] = {"normal_below": band.normal_below, "cataract_above": band.cataract_above}
    policy |= {"coverage": band.coverage, "bound": band.bound, "n": band.n, "errors": band.errors}
    policy["message"] = band.message
    policy["version"] = f"band-{band.normal_below:.3f}-{band.cataract_above:.3f}-w{share:.2f}"
    return curves, policy


def probabilities(held: HeldOut, curves: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Calibrated probabilities (fast, accurate), (N,) each."""
    return calibration.apply(curves["fast"], held.fast), calibration.apply(curves["accurate"], held.accurate)


def final_probability(
    policy: dict[str, Any], fast: NDArray[np.float64], accurate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the cascade answers in mode "cascade", (N,): the fast probability where it is sure, else both combined."""
    rules = Policy.from_json(policy)
    pairs = zip(fast.tolist(), accurate.tolist(), strict=True)
    return np.array([combine(rules, one, two) if is_unsure(rules, one) else one for one, two in pairs])


def _mixed(fast: NDArray[np.float64], accurate: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    one, two = (np.log(np.clip(p, 1e-6, 1 - 1e-6) / np.clip(1 - p, 1e-6, 1)) for p in (fast, accurate))
    return np.asarray(1 / (1 + np.exp(-((1 - share) * one + share * two))))


def _log_loss(p: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(y == 1, np.log(clipped), np.log(1 - clipped))))
