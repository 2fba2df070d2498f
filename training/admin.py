"""Where Django finds the admin pages of this app; each room has its own."""

from training.datasets import admin as datasets
from training.livetests import admin as livetests
from training.promotion import admin as promotion
from training.runs import admin as runs

__all__ = ["datasets", "livetests", "promotion", "runs"]
