"""API keys, and requests that must count only once.

Their tables belong to the app `predictions`, whose migrations made them.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """A key for another system. Shown once; only an HMAC of it is stored."""

    class Scope(models.TextChoices):
        UPLOAD = "upload"
        READ = "read"
        REVIEW = "review"
        ADMIN = "admin"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "predictions"
        verbose_name = "API key"
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class IdempotentRequest(models.Model):
    """One POST that carried an Idempotency-Key: the same key and body get the same answer for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    endpoint = models.CharField(max_length=64)
    key = models.CharField(max_length=128)
    body_sha256 = models.CharField(max_length=64)
    made = models.CharField(
        max_length=100,
        blank=True,
        help_text="The row the first request made, as app.model/id; empty while it runs.",
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        app_label = "predictions"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "endpoint", "key"], name="one_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.key}"


class Prepared(models.Model):
    """A part of a page that a worker has computed (`cataract.core.prepared`). It can be computed again at any time."""

    name = models.CharField(max_length=64, primary_key=True)
    content = models.JSONField(null=True)
    made_at = models.DateTimeField(null=True, help_text="The rows as they were then are in it.")
    asked_at = models.DateTimeField(null=True, help_text="Since when a worker is asked for a newer one.")

    class Meta:
        app_label = "predictions"
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return self.name
