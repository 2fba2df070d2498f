"""Drift between two samples: population stability index and Kolmogorov-Smirnov test.

A verdict needs enough numbers on both sides: with few, chance looks like drift.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

MINIMUM = 100  # on each side; PSI of ten bins and smaller samples is mostly noise: about 9 (1/n + 1/m)
MODERATE, LARGE = 0.1, 0.25  # the usual reading of PSI (Siddiqi 2006, Credit Risk Scorecards)
_BINS = 10
_FEW = 1e-4

Verdict = Literal["not_enough_data", "stable", "moderate", "large"]


@dataclass(frozen=True)
class Drift:
    """Two samples compared. The figures are None where `verdict` is not_enough_data.

    psi >= 0; ks 0..1 is the largest distance of the two distribution functions; p its asymptotic p-value;
    expected_psi what chance alone gives for samples of these sizes.
    """

    n_reference: int
    n_recent: int
    psi: float | None
    expected_psi: float | None
    ks: float | None
    p: float | None
    verdict: Verdict


def compare(reference: Sequence[float], recent: Sequence[float], *, minimum: int = MINIMUM) -> Drift:
    """Compare two samples; NaN and infinity are left out. "moderate" and "large" also need p < 0.01."""
    old, new = _finite(reference), _finite(recent)
    if min(len(old), len(new)) < minimum:
        return Drift(len(old), len(new), None, None, None, None, "not_enough_data")
    psi, expected = population_stability(old, new), (_BINS - 1) * (1 / len(old) + 1 / len(new))
    ks, p = kolmogorov_smirnov(old, new)
    verdict: Verdict = "stable"
    if p < 0.01 and psi >= MODERATE + expected:
        verdict = "large" if psi >= LARGE + expected else "moderate"
    return Drift(len(old), len(new), psi, expected, ks, p, verdict)


def population_stability(reference: Sequence[float], recent: Sequence[float]) -> float:
    """PSI over ten bins of equal reference counts: sum of (q - p) ln(q / p). Ties make fewer bins."""
    old, new = np.asarray(reference, dtype=np.float64), np.asarray(recent, dtype=np.float64)
    edges = np.unique(np.quantile(old, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = [
        np.maximum(np.bincount(np.searchsorted(edges, side, side="right"), minlength=len(edges) + 1) / len(side), _FEW)
        for side in (old, new)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def kolmogorov_smirnov(reference: Sequence[float], recent: Sequence[float]) -> tuple[float, float]:
    """(statistic, asymptotic two-sided p-value) of the two-sample test (Smirnov 1948)."""
    from scipy.stats import ks_2samp  # not at the top: the web process imports this module and must start quickly

    result = ks_2samp(reference, recent, method="asymp")
    return float(result.statistic), float(result.pvalue)


def _finite(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]
