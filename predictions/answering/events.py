"""What other systems are told of predictions."""

from predictions.answering.models import Prediction
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint


def prediction_finished(prediction: Prediction, status: str) -> int:
    """Say that a prediction is done or failed (`status`); return how many endpoints are told."""
    data = {"prediction": str(prediction.pk), "status": status, "address": address_of(prediction)}
    owner = prediction.image.uploaded_by_id
    return webhooks.record(WebhookEndpoint.Event.PREDICTION_FINISHED, data, owner_id=owner, is_private=True)


def address_of(prediction: Prediction) -> str:
    """Where the API gives this prediction."""
    return f"/api/v1/predictions/{prediction.pk}"
