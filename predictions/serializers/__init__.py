"""What the API takes and gives."""

from predictions.serializers.batches import BatchItemSerializer, BatchSerializer, BatchUploadSerializer, batch_files
from predictions.serializers.photos import (
    ModelAnswerSerializer,
    PredictionSerializer,
    ProbabilitiesSerializer,
    UploadSerializer,
    one_photo,
)
from predictions.serializers.system import (
    DriftMeasureSerializer,
    DriftSerializer,
    LiveSerializer,
    PeriodSerializer,
    ProblemSerializer,
    ReadySerializer,
    ReleaseSerializer,
    SystemSerializer,
)
from predictions.serializers.webhooks import (
    WebhookCreatedSerializer,
    WebhookCreateSerializer,
    WebhookDeliverySerializer,
    WebhookEndpointSerializer,
)

__all__ = [
    "BatchItemSerializer",
    "BatchSerializer",
    "BatchUploadSerializer",
    "DriftMeasureSerializer",
    "DriftSerializer",
    "LiveSerializer",
    "ModelAnswerSerializer",
    "PeriodSerializer",
    "PredictionSerializer",
    "ProbabilitiesSerializer",
    "ProblemSerializer",
    "ReadySerializer",
    "ReleaseSerializer",
    "SystemSerializer",
    "UploadSerializer",
    "WebhookCreateSerializer",
    "WebhookCreatedSerializer",
    "WebhookDeliverySerializer",
    "WebhookEndpointSerializer",
    "batch_files",
    "one_photo",
]
