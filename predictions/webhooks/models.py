"""Webhook endpoints, and the outbox of messages to them."""

import base64
import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet


class WebhookEndpoint(models.Model):
    """An address of another system. It gets a message for each event that its owner may see."""

    class Event(models.TextChoices):
        PREDICTION_FINISHED = "prediction.finished", "a prediction is finished"
        CASE_RESOLVED = "case.resolved", "clinicians gave a photo its final result"
        RESULT_AMENDED = "result.amended", "a final result was amended"
        PHOTO_CORRECTED = "photo.corrected", "a photo's eye or patient was corrected, or it was withdrawn"
        RELEASE_PROMOTED = "release.promoted", "another release was promoted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=64, editable=False, help_text="Signs each message.")
    events = models.JSONField(default=list)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.url

    @property
    def signing_secret(self) -> str:
        """The secret in the form of Standard Webhooks: `whsec_` and the base64 of the key.

        The key is the stored text itself, so endpoints from before this form sign with it without a new secret.
        """
        return "whsec_" + base64.b64encode(self.secret.encode()).decode()


class WebhookDeliveryQuerySet(LeasedQuerySet["WebhookDelivery"]):
    OPEN = "waiting"
    LEASE = "next_at"
    MOVES: ClassVar = {
        "delivered": frozenset({"waiting"}),
        "failed": frozenset({"waiting"}),
        "waiting": frozenset({"failed", "delivered"}),
    }


class WebhookDelivery(models.Model):
    """One message to one endpoint, written with the event itself (an outbox) and sent by a worker.

    WAITING -> DELIVERED, or WAITING -> FAILED after the last attempt; either goes back to WAITING when sent again.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=32, choices=WebhookEndpoint.Event)
    payload = models.JSONField()
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Also the fencing token of the attempt that holds the lease."
    )
    next_at = models.DateTimeField(
        default=timezone.now, help_text="Not sent before this time; the end of the lease while it is being sent."
    )
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "webhook deliveries"
        indexes: ClassVar = [models.Index(fields=["status", "next_at"], name="delivery_due")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "delivered", "failed"]), name="webhook_delivery_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="delivered") | Q(delivered_at__isnull=False), name="delivered_has_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint_id}: {self.status}"
