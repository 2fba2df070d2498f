"""Registers the admin pages of each room with Django."""

from training.datasets import admin as datasets
from training.livetests import admin as livetests
from training.promotion import admin as promotion
from training.runs import admin as runs
from training.triggers import admin as triggers

__all__ = ["datasets", "livetests", "promotion", "runs", "triggers"]
