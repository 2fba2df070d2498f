"""Where Django finds the models of this app. Import a model from its room: `predictions.photos.models`, and so on.

What the model said (Prediction) and what people said (FinalResult, review's Reading and Label) never share a column.
"""

from cataract.core import models as core
from predictions.acceptance import models as acceptance
from predictions.answering import models as answering
from predictions.batches import models as batches
from predictions.consent import models as consent
from predictions.corrections import models as corrections
from predictions.drift import models as drift
from predictions.embeddings import models as embeddings
from predictions.news import models as news
from predictions.photos import models as photos
from predictions.releases import models as releases
from predictions.retention import models as retention
from predictions.saved_filters import models as saved_filters
from predictions.shadow import models as shadow
from predictions.sites import models as sites
from predictions.stops import models as stops
from predictions.webhooks import models as webhooks

__all__ = [
    "acceptance",
    "answering",
    "batches",
    "consent",
    "core",
    "corrections",
    "drift",
    "embeddings",
    "news",
    "photos",
    "releases",
    "retention",
    "saved_filters",
    "shadow",
    "sites",
    "stops",
    "webhooks",
]
