"""Deletions of photos and patients, and legal holds that forbid them."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet
from predictions.photos.models import EyeImage
from predictions.sites.models import Patient, Site


class LegalHoldQuerySet(models.QuerySet["LegalHold"]):
    def standing(self) -> Self:
        """The holds that nobody has lifted."""
        return self.filter(lifted_at__isnull=True)


class LegalHold(models.Model):
    """Nothing of this patient is deleted until the hold is lifted: not by a person, not by a retention period."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="holds")
    reason = models.TextField()
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField(default=timezone.now)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)
    lift_reason = models.TextField(blank=True)

    objects = LegalHoldQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-placed_at"]
        permissions: ClassVar = [("hold_patient", "Can place and lift legal holds")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["patient"], condition=Q(lifted_at__isnull=True), name="one_standing_hold_per_patient"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="hold_says_why"),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, lift_reason="")
                | Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(lift_reason=""),
                name="lifted_hold_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"hold on {self.patient} since {self.placed_at:%Y-%m-%d}"


class DeletionQuerySet(StatusQuerySet["Deletion"]):
    MOVES: ClassVar = {
        "trashed": frozenset({"requested"}),
        "cancelled": frozenset({"requested"}),
        "restored": frozenset({"trashed"}),
        "purging": frozenset({"trashed"}),
        "purged": frozenset({"purging"}),
    }

    def decided_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The deletions that `user` may see and act on, if permitted to at all."""
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self
        return self.filter(Q(site__in=user.sites.all()) | Q(requested_by=user))


class Deletion(models.Model):
    """The deletion of some photos of one site.

    REQUESTED -> TRASHED -> PURGING -> PURGED; REQUESTED -> CANCELLED; TRASHED -> RESTORED. It waits in REQUESTED only
    where the site asks for a second person. From TRASHED on its photos are invisible; from PURGING on nothing can bring
    them back.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", "waits for a second person"
        TRASHED = "trashed", "in the trash"
        PURGING = "purging", "being purged"
        PURGED = "purged", "purged"
        RESTORED = "restored", "restored"
        CANCELLED = "cancelled", "cancelled"

    class Kind(models.TextChoices):
        PHOTOS = "photos", "single photos"
        PATIENT = "patient", "a patient with all photos"
        RETENTION = "retention", "older than the site keeps photos"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=9, choices=Kind)
    status = models.CharField(max_length=9, choices=Status, default=Status.REQUESTED)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="deletions")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="deletions")
    images = models.ManyToManyField(EyeImage, related_name="deletions")
    reason = models.TextField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    requested_at = models.DateTimeField(default=timezone.now)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    trashed_at = models.DateTimeField(null=True, blank=True)
    purge_after = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = DeletionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        permissions: ClassVar = [
            ("delete_photo", "Can ask for the deletion of photos and patients, and restore them"),
            ("confirm_deletion", "Can confirm deletions that another person asked for, and purge at once"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(reason=""), name="deletion_says_why"),
            models.CheckConstraint(
                condition=Q(status__in=["requested", "cancelled"], trashed_at__isnull=True, purge_after__isnull=True)
                | Q(
                    status__in=["trashed", "restored", "purging", "purged"],
                    trashed_at__isnull=False,
                    purge_after__isnull=False,
                ),
                name="deletion_status",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["requested", "trashed", "purging"], ended_at__isnull=True)
                | Q(status__in=["cancelled", "restored", "purged"], ended_at__isnull=False),
                name="ended_deletion_has_time",
            ),
            models.CheckConstraint(
                condition=Q(kind="patient", patient__isnull=False)
                | Q(kind__in=["photos", "retention"], patient__isnull=True),
                name="deletion_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_status_display()}"
