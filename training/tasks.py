"""Registers the tasks of each room with Celery."""

from training.comparison import tasks as comparison
from training.encoders import tasks as encoders
from training.forgetting import tasks as forgetting
from training.imports import tasks as imports
from training.label_checks import tasks as label_checks
from training.runs import tasks as runs
from training.triggers import tasks as triggers

__all__ = ["comparison", "encoders", "forgetting", "imports", "label_checks", "runs", "triggers"]
