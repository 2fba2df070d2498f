"""Figures that the reports of both kinds of live test share, as JSON rows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cataract.ml.labels import is_sure
from cataract.ml.statistics.intervals import Estimate, weighted_share
from review.agreement.estimates import Measure


def share_row(name: str, hits: Sequence[bool], clusters: Sequence[int]) -> dict[str, Any]:
    """The share of photos that `hits`, with its interval by cluster."""
    return measure_row(Measure(name, weighted_share(hits, np.ones(len(hits)), clusters)))


def measure_row(measure: Measure) -> dict[str, Any]:
    return {"name": measure.name, "note": measure.note, **asdict(measure.estimate)}


def latency_row(values: Sequence[float]) -> dict[str, Any]:
    """Median of the milliseconds with its 95 % interval by order statistics (Conover 1999), and the 95th percentile."""
    n = len(values)
    if not n:
        return {**asdict(Estimate(None, None, None, 0)), "p95": None}
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    half = 0.98 * np.sqrt(n)  # 1.96 standard deviations of a binomial with p = 1/2
    low, high = max(0, int(np.floor(n / 2 - half))), min(n - 1, int(np.ceil(n / 2 + half)))
    median = Estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[high]), n)
    return {**asdict(median), "p95": float(np.percentile(ordered, 95))}


def is_unsure(needs_review: bool, reasons: Sequence[str]) -> bool:
    """Whether the release itself asked for a person; a random audit of a sure answer is not its doubt."""
    return not is_sure(needs_review, reasons)
