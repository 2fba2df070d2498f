"""The metrics of a new release on held-out photos: metrics.json, and one number per name for tables and MLflow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.learn.build.calibrate import HeldOut, cross_calibrated
from cataract.ml.learn.reporter import Reporter
from cataract.ml.statistics import metrics


def measure_release(held_out: HeldOut, policy: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The content of metrics.json: both models and the cascade, on one photo per cluster, calibrated without it.

    Raises Cancelled.
    """
    single = held_out.one_each()
    fast, accurate, final = cross_calibrated(single, policy)
    models = {}
    for name, p in (("cascade", final), ("fast", fast), ("accurate", accurate)):
        reporter.check_stop()
        models[name] = metrics.evaluate(single.y, p, weights=single.weights)
    return {
        **models,
        "coverage_at_5_percent_error": _coverage_at(0.05, single, final),
        **auto_figures(policy),
        "on": held_out.note,
    }


def _coverage_at(error: float, single: HeldOut, final: NDArray[np.float64]) -> float:
    """The largest weighted share of photos, surest first, whose observed error is at most `error`."""
    order = np.argsort(-np.abs(final - 0.5), kind="stable")
    weights, wrong = single.weights[order], ((final >= 0.5) != (single.y == 1))[order]
    covered = np.cumsum(weights)
    return float(max((covered / covered[-1])[np.cumsum(weights * wrong) <= error * covered], default=0.0))


def auto_figures(policy: dict[str, Any]) -> dict[str, float]:
    """The share of photos answered without a person, and the upper confidence limits of both risks."""
    return {
        "auto_coverage": policy["coverage"],
        "auto_missed_bound": policy["normal"]["bound"],
        "auto_false_alarm_bound": policy["cataract"]["bound"],
    }


def flatten_metrics(figures: dict[str, Any]) -> dict[str, float]:
    """One number per name, such as "fast_roc_auc"."""
    flat = {name: figures[name] for name in ("auto_coverage", "auto_missed_bound", "auto_false_alarm_bound")}
    for model in ("cascade", "fast", "accurate"):
        for measure in ("accuracy", "sensitivity", "specificity", "roc_auc", "ece"):
            value = figures[model][measure]["value"]
            if value is not None:
                flat[f"{model}_{measure}"] = value
    return flat
