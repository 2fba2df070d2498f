"""Where Celery finds the tasks of this app; each room has its own."""

from training.comparison import tasks as comparison
from training.datasets import tasks as datasets
from training.runs import tasks as runs

__all__ = ["comparison", "datasets", "runs"]
