"""The metrics of a new release on held-out photos: metrics.json, and one number per name for tables and MLflow."""

from typing import Any

import numpy as np

from cataract.ml.learn.fit.calibrate import HeldOut, final_probability, probabilities
from cataract.ml.learn.reporter import Reporter
from cataract.ml.statistics import metrics


def measure_release(
    held_out: HeldOut, curves: dict[str, Any], policy: dict[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The content of metrics.json: both models and the cascade, on one photo per cluster. Raises Cancelled."""
    _, one_each = np.unique(held_out.clusters, return_index=True)
    single = held_out.take(one_each)
    fast, accurate = probabilities(single, curves)
    final = final_probability(policy, fast, accurate)
    models = {}
    for name, p in (("cascade", final), ("fast", fast), ("accurate", accurate)):
        reporter.check_stop()
        models[name] = metrics.evaluate(single.y, p)
    return {
        **models,
        "coverage_at_5_percent_error": metrics.coverage_at_risk(single.y, final, 0.05),
        "auto_coverage": policy["coverage"],
        "auto_error_bound": policy["bound"],
        "on": held_out.note,
    }


def flatten_metrics(figures: dict[str, Any]) -> dict[str, float]:
    """One number per name, such as "fast_roc_auc"."""
    flat = {"auto_coverage": figures["auto_coverage"], "auto_error_bound": figures["auto_error_bound"]}
    for model in ("cascade", "fast", "accurate"):
        for measure in ("accuracy", "sensitivity", "specificity", "roc_auc", "ece"):
            value = figures[model][measure]["value"]
            if value is not None:
                flat[f"{model}_{measure}"] = value
    return flat
