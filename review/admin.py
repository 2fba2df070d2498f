"""Django finds this app's admin pages here; each room has its own module."""

from review.cases import admin as cases
from review.labels import admin as labels
from review.retraction import admin as retraction

__all__ = ["cases", "labels", "retraction"]
