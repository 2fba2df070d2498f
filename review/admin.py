"""Django finds this app's admin pages here; each room has its own module."""

from review.cases import admin as cases
from review.labels import admin as labels
from review.lookback import admin as lookback
from review.outcomes import admin as outcomes
from review.retraction import admin as retraction

__all__ = ["cases", "labels", "lookback", "outcomes", "retraction"]
