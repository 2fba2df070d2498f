"""Django finds this app's models here. Import a model from its room, such as `review.cases.models`."""

from review.acceptance import models as acceptance
from review.cases import models as cases
from review.feedback import models as feedback
from review.labels import models as labels
from review.lookback import models as lookback
from review.outcomes import models as outcomes
from review.pauses import models as pauses
from review.practice import models as practice
from review.retraction import models as retraction

__all__ = ["acceptance", "cases", "feedback", "labels", "lookback", "outcomes", "pauses", "practice", "retraction"]
