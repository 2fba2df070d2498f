"""Registers the models of each room with Django. Import a model from its room: `training.runs.models`."""

from training.comparison import models as comparison
from training.datasets import models as datasets
from training.encoders import models as encoders
from training.imports import models as imports
from training.label_checks import models as label_checks
from training.livetests import models as livetests
from training.promotion import models as promotion
from training.runs import models as runs
from training.tracking import models as tracking
from training.triggers import models as triggers

__all__ = [
    "comparison",
    "datasets",
    "encoders",
    "imports",
    "label_checks",
    "livetests",
    "promotion",
    "runs",
    "tracking",
    "triggers",
]
