"""Django finds this app's models here. Import a model from its room, such as `review.cases.models`."""

from review.cases import models as cases
from review.labels import models as labels
from review.retraction import models as retraction

__all__ = ["cases", "labels", "retraction"]
