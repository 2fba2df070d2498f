"""Figures -> MLflow metrics: one finite number per name, with its interval and n beside it."""

import re
from collections.abc import Mapping
from typing import Any

_ALLOWED = re.compile(r"[^\w\-./ ]")


def as_metrics(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The finite numbers of `figures`, nested names joined by "_", each name beginning with `prefix`.

    {"sensitivity": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40}} gives sensitivity, sensitivity_low,
    sensitivity_high and sensitivity_n. Texts, lists, truth values and what does not exist are left out.
    """
    found: dict[str, float] = {}
    for key, value in figures.items():
        name = _ALLOWED.sub("_", prefix if key == "value" and prefix else "_".join(filter(None, (prefix, str(key)))))
        if isinstance(value, Mapping):
            found |= as_metrics(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
            found[name] = float(value)
    return found
