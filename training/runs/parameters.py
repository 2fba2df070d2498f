"""The parameters of a training run that a person may choose: names, limits, defaults and labels.

The form of the admin, the API and `manage.py train` are made from these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cataract.ml.cascade.risk import RiskLimits


@dataclass(frozen=True)
class Choice:
    """A number between `low` and `high`, limits included; whole where `type` is int.

    default: None for a part of the promise, which is the base release's.
    """

    type: type[int] | type[float]
    low: float
    high: float
    default: float | None
    label: str


CHOICES: dict[str, Choice] = {
    "trials": Choice(int, 1, 500, 20, "Trials of the search for the fast model"),
    "minutes": Choice(float, 0.1, 240, 10, "Search time limit (minutes)"),
    "epochs": Choice(int, 1, 200, 40, "Maximum epochs of the accurate model"),
    "teach_weight": Choice(float, 0.01, 1, 0.3, "Weight of pseudo-labels"),
    "teach_floor": Choice(float, 0.5, 1, 0.9, "Minimum confidence of a pseudo-label (0.5 to 1)"),
    "max_missed": Choice(float, 0.0001, 0.49, None, "Share of all cataracts that may leave as normal unseen"),
    "max_false_alarms": Choice(float, 0.0001, 0.49, None, "Share of automatic cataract answers that may be wrong"),
    "confidence": Choice(float, 0.5, 0.9999, None, "Confidence of these two limits"),
    "prevalence": Choice(float, 0.0001, 0.99, None, "Share of eyes with cataract"),
}
# Of each part of the promise: the setting, the value that counts where nobody states one, and how it is said.
PROMISE: dict[str, tuple[str, float | None, str]] = {
    "max_missed": ("AUTO_MAX_MISSED", RiskLimits.missed, "cataracts that leave as normal unseen"),
    "max_false_alarms": ("AUTO_MAX_FALSE_ALARMS", RiskLimits.false_alarms, "wrong automatic cataract answers"),
    "confidence": ("AUTO_CONFIDENCE", RiskLimits.confidence, "confidence"),
    "prevalence": ("AUTO_PREVALENCE", None, "eyes with cataract"),
}
KEPT = "Empty: what the release that the run starts from promises."
DISTIL = "distil"
DISTIL_LABEL = "Distillation: teach the fast model with the champion's accurate model on unlabelled photos"
SEARCH_LABEL = "How the fast model's parameters are searched"
SEARCHES = (("tpe", "Optuna (tree-structured Parzen estimator)"), ("grid", "grid"))


def promise(values: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, float]:
    """What the automatic answers of the release will promise, as parameters.

    Each part is the value given, else that of a setting that an admin stated, else that of the base release's
    `policy`, else the usual one.
    """
    known = {}
    for name, (setting, usual, _) in PROMISE.items():
        candidates = (values.get(name), _stated(setting, usual), promised(policy).get(name), usual)
        known[name] = next((value for value in candidates if value is not None), None)
    return {name: value for name, value in known.items() if value is not None}


def promised(policy: Mapping[str, Any]) -> dict[str, float]:
    """The promise of a policy.json, as parameters; empty when it makes none."""
    if "limits" not in policy:
        return {}
    found = {
        "max_missed": policy["limits"]["missed"],
        "max_false_alarms": policy["limits"]["false_alarms"],
        "confidence": policy.get("confidence"),
        "prevalence": policy.get("prevalence"),
    }
    return {name: value for name, value in found.items() if value is not None}


def promise_in_words(parameters: Mapping[str, Any], policy: Mapping[str, Any]) -> list[str]:
    """Each part of a run's promise, and what the base release promises where that is something else."""
    before = promised(policy)
    lines = []
    for name, (_, _, meaning) in PROMISE.items():
        if name in parameters:
            base = before.get(name)
            changed = (
                f" (the base release: {100 * base:.3g} %)" if base is not None and base != parameters[name] else ""
            )
            lines.append(f"{meaning}: {100 * parameters[name]:.3g} %{changed}")
    return lines


def parameters_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The `parameters` of `services.start_training`. A value that is missing or None keeps its default."""
    chosen: dict[str, Any] = {name: choice.default for name, choice in CHOICES.items()}
    chosen |= {name: values[name] for name in CHOICES if values.get(name) is not None}
    parameters: dict[str, Any] = {
        "trials": chosen["trials"],
        "seconds": 60 * chosen["minutes"],
        "epochs": chosen["epochs"],
        "search": values.get("search") or SEARCHES[0][0],
        **{name: chosen[name] for name in PROMISE if chosen[name] is not None},
    }
    if values.get(DISTIL):
        parameters["distillation"] = {"weight": chosen["teach_weight"], "floor": chosen["teach_floor"]}
    return parameters


def _stated(setting: str, usual: float | None) -> float | None:
    """The value of a setting that an admin stated, in the environment or as another value; else None."""
    value: float = getattr(settings, setting)
    return value if value and (setting in settings.AUTO_STATED or value != usual) else None
