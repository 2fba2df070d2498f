"""Django finds this app's admin pages here; each room has its own module."""

from review.cases import admin as cases
from review.labels import admin as labels

__all__ = ["cases", "labels"]
