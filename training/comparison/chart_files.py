"""The charts of a comparison as SVG files, for MLflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.utils.safestring import SafeString
from numpy.typing import NDArray

from cataract.core import charts
from cataract.core.svg import Point
from cataract.ml.labels import CATARACT

Array = NDArray[np.float64]


def write_charts(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the confusion matrix and the curves of a report of `gates.judge` into `folder`.

    Curves need photos of both classes that have a probability; without them only the confusion matrix is written.
    """
    confusion = report["figures"]["challenger"]["confusion"]
    files = {"confusion": charts.matrix("Test photos by truth (down) and decision (across)", confusion)}
    p, y = _judged(report["points"])
    if 0 < y.sum() < len(y):
        files |= _curves(p, y)
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in files.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


def _judged(points: Sequence[Mapping[str, Any]]) -> tuple[Array, NDArray[np.bool_]]:
    """(probability, whether it is a cataract) of the photos that have a probability."""
    judged = [point for point in points if point["probability"] is not None]
    p = np.array([point["probability"] for point in judged], dtype=float)
    return p, np.array([point["truth"] == CATARACT for point in judged], dtype=bool)


def _curves(p: Array, y: NDArray[np.bool_]) -> dict[str, SafeString]:
    from sklearn.calibration import calibration_curve  # takes a second, and every process imports this module
    from sklearn.metrics import precision_recall_curve, roc_curve

    false_positives, true_positives, _ = roc_curve(y, p)
    precision, recall, _ = precision_recall_curve(y, p)
    observed, stated = calibration_curve(y, p, n_bins=10)
    coverage, risk = _risk_coverage(p, y)
    return {
        "roc": charts.curve(
            "ROC", _points(false_positives, true_positives), x="1 - specificity", y="sensitivity", diagonal=True
        ),
        "precision-recall": charts.curve("Precision and recall", _points(recall, precision), x="recall", y="precision"),
        "calibration": charts.curve(
            "Calibration",
            _points(stated, observed),
            x="stated probability",
            y="share with cataract",
            diagonal=True,
            dots=True,
        ),
        "risk-coverage": charts.curve(
            "Risk and coverage", _points(coverage, risk), x="share decided, the surest first", y="share wrong"
        ),
    }


def _risk_coverage(p: Array, y: NDArray[np.bool_]) -> tuple[Array, Array]:
    """(share decided, share of these that is wrong) as more and more of the photos are decided, the surest first."""
    wrong = ((p >= 0.5) != y)[np.argsort(-np.abs(p - 0.5), kind="stable")]
    n = np.arange(1, len(p) + 1)
    return n / len(p), np.cumsum(wrong) / n


def _points(x: Array, y: Array) -> list[Point]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
