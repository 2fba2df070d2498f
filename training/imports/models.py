"""Imports of labelled photos that were sent in the browser, with their reports."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet
from predictions.sites.models import Site


class PhotoImportQuerySet(LeasedQuerySet["PhotoImport"]):
    OPEN: ClassVar = "waiting"
    MOVES: ClassVar = {
        "checked": frozenset({"waiting"}),
        "waiting": frozenset({"checked"}),
        "done": frozenset({"waiting"}),
        "failed": frozenset({"waiting"}),
        "cancelled": frozenset({"waiting", "checked"}),
    }


class PhotoImport(models.Model):
    """One archive of photos that a worker first only checks and, when a person agrees, imports.

    WAITING (step CHECK) -> CHECKED -> WAITING (step STORE) -> DONE; FAILED or CANCELLED on the way. The reports are
    kept: `plan` of the dry run, `report` of the import.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "running"
        CHECKED = "checked", "checked, not imported yet"
        DONE = "done", "imported"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "discarded"

    class Step(models.TextChoices):
        CHECK = "check", "dry run"
        STORE = "store", "import"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, help_text="The name of the archive.")
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    step = models.CharField(max_length=5, choices=Step, default=Step.CHECK)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    labelled = models.BooleanField(default=True)
    split_from_folders = models.BooleanField(default=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Also the fencing token of the lease.")
    lease_until = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(max_length=40, blank=True)
    files_done = models.PositiveIntegerField(default=0)
    files = models.PositiveIntegerField(default=0)
    plan: Any = models.JSONField(null=True, blank=True, help_text="What the dry run found.")
    report: Any = models.JSONField(null=True, blank=True, help_text="What the import did.")
    error = models.TextField(blank=True)

    objects = PhotoImportQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        default_permissions: ClassVar = ("add", "view")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "checked", "done", "failed", "cancelled"]), name="import_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(report__isnull=False, finished_at__isnull=False),
                name="done_import_has_report",
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_import_has_error"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.created_at:%Y-%m-%d %H:%M}"
