"""The plots of a comparison as SVG: confusion matrix, ROC, precision and recall, calibration, risk and coverage."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def draw_all(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """Draw what the report of `gates.judge` holds into `folder`; return the files.

    Curves need photos of both classes that have a probability; without them only the confusion matrix is drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        _draw(folder / "confusion.svg", lambda axes: _confusion(axes, report["figures"]["challenger"]["confusion"]))
    ]
    p, y = _points(report["points"])
    if 0 < y.sum() < len(y):
        for name, curve in (
            ("roc", _roc),
            ("precision-recall", _precision_recall),
            ("calibration", _calibration),
            ("risk-coverage", _risk_coverage),
        ):
            files.append(_draw(folder / f"{name}.svg", partial(curve, p=p, y=y)))
    return files


def _draw(path: Path, fill: Callable[[Any], None]) -> Path:
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # half a second; no global state, unlike pyplot
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4), layout="constrained")
    FigureCanvasSVG(figure)
    fill(figure.add_subplot())
    figure.savefig(path, metadata={"Date": None})
    return path


def _points(points: Sequence[Mapping[str, Any]]) -> tuple[Array, Array]:
    judged = [point for point in points if point["probability"] is not None]
    p = np.array([point["probability"] for point in judged], dtype=float)
    return p, np.array([point["truth"] == "cataract" for point in judged], dtype=float)


def _confusion(axes: Any, table: Mapping[str, Mapping[str, int]]) -> None:
    rows, columns = ("cataract", "normal"), ("cataract", "normal", "ungradable")
    values = np.array([[table[row][column] for column in columns] for row in rows], dtype=float)
    axes.imshow(values, cmap="Blues")
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column, row, int(value), ha="center", va="center", color="white" if value > values.max() / 2 else "black"
        )
    axes.set_xticks(range(3), columns)
    axes.set_yticks(range(2), rows)
    axes.set(xlabel="decision", ylabel="truth", title="Test photos by truth and decision")


def _roc(axes: Any, p: Array, y: Array) -> None:
    truth = y[np.argsort(-p, kind="stable")]
    axes.plot(_from_zero(np.cumsum(1 - truth) / (1 - truth).sum()), _from_zero(np.cumsum(truth) / truth.sum()))
    axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC")


def _precision_recall(axes: Any, p: Array, y: Array) -> None:
    truth = y[np.argsort(-p, kind="stable")]
    axes.plot(np.cumsum(truth) / truth.sum(), np.cumsum(truth) / np.arange(1, len(truth) + 1))
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02), title="Precision and recall")


def _calibration(axes: Any, p: Array, y: Array) -> None:
    bins = np.minimum((p * 10).astype(int), 9)
    full = [b for b in range(10) if (bins == b).any()]
    axes.plot([p[bins == b].mean() for b in full], [y[bins == b].mean() for b in full], "o-")
    axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    axes.set(xlabel="stated probability", ylabel="share with cataract", title="Calibration")


def _risk_coverage(axes: Any, p: Array, y: Array) -> None:
    order = np.argsort(-np.abs(p - 0.5), kind="stable")
    wrong = ((p >= 0.5) != (y > 0))[order]
    n = np.arange(1, len(p) + 1)
    axes.plot(n / len(p), np.cumsum(wrong) / n)
    axes.set(xlabel="share decided, the surest first", ylabel="share wrong", title="Risk and coverage")


def _from_zero(values: Array) -> Array:
    return np.concatenate([[0.0], values])
