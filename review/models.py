"""Where Django finds the models of this app. Import a model from its room: `review.cases.models`, and so on."""

from review.cases import models as cases
from review.labels import models as labels

__all__ = ["cases", "labels"]
