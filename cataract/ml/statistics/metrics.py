"""All measures of a set of photos at once, as JSON; and the error against the share that is decided."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cataract.ml.labels import CATARACT, NORMAL
from cataract.ml.statistics.intervals import clopper_pearson, nothing, wilson
from cataract.ml.statistics.measures import NAMES, Answers, estimate

__all__ = ["NONE", "clopper_pearson", "coverage_at_risk", "evaluate", "risk_coverage", "wilson"]

NONE: dict[str, Any] = asdict(nothing())


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    decisions: Sequence[str] | None = None,
    clusters: ArrayLike | None = None,
    seed: int = 0,
    weights: ArrayLike | None = None,
) -> dict[str, Any]:
    """Every measure of docs/measures.md on N photos, each {"value", "low", "high", "n"} with its 95 % interval.

    y: truth 0/1; p: probability of cataract; decisions: what was answered, where that is not simply p >= 0.5 (then p is
    NaN where a photo cannot be judged); clusters: photos of one cluster are not independent; weights: how many photos
    each stands for. Also `confusion`, `n` and `graded`, as counts of photos. A measure that does not
    exist (no photo of a class) is `NONE`.

    Raises ValueError when the lengths differ or a probability that counts is not finite.
    """
    probability = np.asarray(p, dtype=np.float64)
    said = np.where(probability >= 0.5, CATARACT, NORMAL) if decisions is None else np.asarray(decisions, dtype=str)
    answers = Answers.of(y, said, probability, weight=weights, clusters=clusters)
    truth, graded = answers.truth, answers.graded
    counts = {
        "true_cataract": int((graded & answers.positive & truth).sum()),
        "false_cataract": int((graded & answers.positive & ~truth).sum()),
        "true_normal": int((~answers.positive & ~truth).sum()),
        "false_normal": int((~answers.positive & truth).sum()),
        "ungradable_cataract": int((~graded & truth).sum()),
        "ungradable_normal": int((~graded & ~truth).sum()),
    }
    found = {name: asdict(estimate(name, answers, seed=seed)) for name in NAMES}
    return found | {"confusion": counts, "n": len(truth), "graded": int(graded.sum())}


def risk_coverage(y: ArrayLike, p: ArrayLike) -> list[dict[str, float]]:
    """Error among the surest photos against their share, from the surest to all (El-Yaniv and Wiener 2010).

    One {"coverage", "risk", "margin"} for each distinct |p - 0.5|.
    """
    truth, probability = np.asarray(y, dtype=np.int64), np.asarray(p, dtype=np.float64)
    margin = np.abs(probability - 0.5)
    order = np.argsort(-margin, kind="stable")
    wrong = np.cumsum((probability >= 0.5)[order] != (truth == 1)[order])
    if not len(truth):
        return []
    last = np.flatnonzero(np.append(np.diff(margin[order]) != 0, True))
    return [
        {
            "coverage": (index + 1) / len(truth),
            "risk": float(wrong[index]) / (index + 1),
            "margin": float(margin[order][index]),
        }
        for index in last.tolist()
    ]


def coverage_at_risk(y: ArrayLike, p: ArrayLike, max_error: float = 0.05) -> float:
    """The largest share of photos, surest first, whose observed error is at most `max_error`."""
    return max((point["coverage"] for point in risk_coverage(y, p) if point["risk"] <= max_error), default=0.0)
