"""The parameters of a training run that a person may choose: names, limits, defaults and labels.

The form of the admin, the API and `manage.py train` are made from these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings


@dataclass(frozen=True)
class Choice:
    """A number between `low` and `high`, limits included; whole where `type` is int.

    default: None where that is the `setting` of this name.
    """

    type: type[int] | type[float]
    low: float
    high: float
    default: float | None
    label: str
    setting: str = ""

    def by_default(self) -> float | None:
        """The default now; None where a setting is 0, which means: not stated."""
        return getattr(settings, self.setting) or None if self.setting else self.default


CHOICES: dict[str, Choice] = {
    "trials": Choice(int, 1, 500, 20, "Trials of the search for the fast model"),
    "minutes": Choice(float, 0.1, 240, 10, "Search time limit (minutes)"),
    "epochs": Choice(int, 1, 200, 40, "Maximum epochs of the accurate model"),
    "teach_weight": Choice(float, 0.01, 1, 0.3, "Weight of pseudo-labels"),
    "teach_floor": Choice(float, 0.5, 1, 0.9, "Minimum confidence of a pseudo-label (0.5 to 1)"),
    "max_missed": Choice(
        float, 0.0001, 0.49, None, "Share of all cataracts that may leave as normal unseen", "AUTO_MAX_MISSED"
    ),
    "max_false_alarms": Choice(
        float,
        0.0001,
        0.49,
        None,
        "Share of automatic cataract answers that may be wrong",
        "AUTO_MAX_FALSE_ALARMS",
    ),
    "confidence": Choice(float, 0.5, 0.9999, None, "Confidence of these two limits", "AUTO_CONFIDENCE"),
    "prevalence": Choice(
        float,
        0.0001,
        0.99,
        None,
        "Share of eyes with cataract (empty: as in the calibration)",
        "AUTO_PREVALENCE",
    ),
}
PROMISE = ("max_missed", "max_false_alarms", "confidence", "prevalence")
DISTIL = "distil"
DISTIL_LABEL = "Distillation: teach the fast model with the champion's accurate model on unlabelled photos"


def promise(values: Mapping[str, Any]) -> dict[str, float]:
    """What the automatic answers of the release will promise, as parameters; without a value, by the settings."""
    stated = {name: values.get(name) for name in PROMISE}
    known = {name: CHOICES[name].by_default() if value is None else value for name, value in stated.items()}
    return {name: value for name, value in known.items() if value is not None}


def parameters_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The `parameters` of `services.start_training`. A value that is missing or None keeps its default."""
    chosen: dict[str, Any] = {name: choice.default for name, choice in CHOICES.items()}
    chosen |= {name: values[name] for name in CHOICES if values.get(name) is not None}
    parameters: dict[str, Any] = {
        "trials": chosen["trials"],
        "seconds": 60 * chosen["minutes"],
        "epochs": chosen["epochs"],
        **promise(values),
    }
    if values.get(DISTIL):
        parameters["distillation"] = {"weight": chosen["teach_weight"], "floor": chosen["teach_floor"]}
    return parameters
