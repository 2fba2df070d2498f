"""Registers the tasks of each room with Celery."""

from training.comparison import tasks as comparison
from training.forgetting import tasks as forgetting
from training.label_checks import tasks as label_checks
from training.runs import tasks as runs
from training.triggers import tasks as triggers

__all__ = ["comparison", "forgetting", "label_checks", "runs", "triggers"]
