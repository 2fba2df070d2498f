"""Where Django finds the admin pages of this app; each room has its own."""

from review.cases import admin as cases
from review.labels import admin as labels

__all__ = ["cases", "labels"]
