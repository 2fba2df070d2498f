"""What a person may choose for a training run: the one place of names, limits and defaults.

The admin's form, the API and `manage.py train` are made from it, so that they ask the same and refuse the same.
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
    "minutes": Choice(float, 0.1, 240, 10, "... but no more than these minutes"),
    "epochs": Choice(int, 1, 200, 40, "Epochs of the accurate model, at most"),
    "teach_weight": Choice(float, 0.01, 1, 0.3, "What such a photo weighs beside a labelled one"),
    "teach_floor": Choice(float, 0.5, 1, 0.9, "How sure the teacher must be (0.5 to 1)"),
}
TEACH = "distil"
TEACH_LABEL = "Let the champion's accurate model teach the fast one on photos without a label"


def parameters_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """What `services.start_training` takes as parameters; what was not said keeps its default."""
    chosen = {name: choice.default for name, choice in CHOICES.items()}
    chosen |= {name: said[name] for name in CHOICES if said.get(name) is not None}
    parameters: dict[str, Any] = {
        "trials": chosen["trials"],
        "seconds": 60 * chosen["minutes"],
        "epochs": chosen["epochs"],
    }
    if said.get(TEACH):
        parameters["distillation"] = {"weight": chosen["teach_weight"], "floor": chosen["teach_floor"]}
    return parameters
