"""The parameters of a training run that a person may choose: names, limits, defaults and labels.

The form of the admin, the API and `manage.py train` are made from these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A number between `low` and `high`, limits included; whole where `type` is int."""

    type: type[int] | type[float]
    low: float
    high: float
    default: float
    label: str


CHOICES: dict[str, Choice] = {
    "trials": Choice(int, 1, 500, 20, "Trials of the search for the fast model"),
    "minutes": Choice(float, 0.1, 240, 10, "Search time limit (minutes)"),
    "epochs": Choice(int, 1, 200, 40, "Maximum epochs of the accurate model"),
    "teach_weight": Choice(float, 0.01, 1, 0.3, "Weight of pseudo-labels"),
    "teach_floor": Choice(float, 0.5, 1, 0.9, "Minimum confidence of a pseudo-label (0.5 to 1)"),
}
DISTIL = "distil"
DISTIL_LABEL = "Distillation: teach the fast model with the champion's accurate model on unlabelled photos"


def parameters_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The `parameters` of `services.start_training`. A value that is missing or None keeps its default."""
    chosen = {name: choice.default for name, choice in CHOICES.items()}
    chosen |= {name: values[name] for name in CHOICES if values.get(name) is not None}
    parameters: dict[str, Any] = {
        "trials": chosen["trials"],
        "seconds": 60 * chosen["minutes"],
        "epochs": chosen["epochs"],
    }
    if values.get(DISTIL):
        parameters["distillation"] = {"weight": chosen["teach_weight"], "floor": chosen["teach_floor"]}
    return parameters
