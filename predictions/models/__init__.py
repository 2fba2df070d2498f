"""An image comes in, a prediction goes out: the rows of the first third of the loop.

What the model said (Prediction) and what a person said (review.Reading, review.Label) never share a column.
"""

from predictions.models.access import ApiToken, IdempotentRequest
from predictions.models.answers import Disclosure, Prediction, PredictionQuerySet
from predictions.models.batches import Batch, BatchItem, BatchItemQuerySet, BatchQuerySet
from predictions.models.embeddings import Embedding, EmbeddingJob, EmbeddingJobQuerySet
from predictions.models.livetests import LiveTest, LiveTestQuerySet, ShadowAnswer
from predictions.models.photos import Cluster, EyeImage, Split
from predictions.models.releases import Promotion, Release, ReleaseQuerySet
from predictions.models.webhooks import WebhookDelivery, WebhookDeliveryQuerySet, WebhookEndpoint

__all__ = [
    "ApiToken",
    "Batch",
    "BatchItem",
    "BatchItemQuerySet",
    "BatchQuerySet",
    "Cluster",
    "Disclosure",
    "Embedding",
    "EmbeddingJob",
    "EmbeddingJobQuerySet",
    "EyeImage",
    "IdempotentRequest",
    "LiveTest",
    "LiveTestQuerySet",
    "Prediction",
    "PredictionQuerySet",
    "Promotion",
    "Release",
    "ReleaseQuerySet",
    "ShadowAnswer",
    "Split",
    "WebhookDelivery",
    "WebhookDeliveryQuerySet",
    "WebhookEndpoint",
]
