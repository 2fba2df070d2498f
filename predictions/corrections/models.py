"""What people corrected about a photo after it was sent."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.photos.models import EyeImage

REASON_LENGTH = 500


class Correction(models.Model):
    """One correction of one photo. Append-only: the database refuses every change; a later one corrects again.

    `before` and `after` hold the eye or the patient key; both are empty when a photo is withdrawn or restored.
    """

    class Kind(models.TextChoices):
        WRONG_EYE = "wrong_eye", "Eye corrected"
        WRONG_PATIENT = "wrong_patient", "Patient corrected"
        WRONG_PHOTO = "wrong_photo", "Withdrawn: sent by mistake"
        DUPLICATE = "duplicate", "Withdrawn: duplicate of another patient's photo"
        RESTORED = "restored", "Restored"

    WITHDRAWS: ClassVar = (Kind.WRONG_PHOTO, Kind.DUPLICATE)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="corrections")
    kind = models.CharField(max_length=13, choices=Kind)
    before = models.CharField(max_length=64, blank=True)
    after = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=REASON_LENGTH)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind__in=["wrong_eye", "wrong_patient", "wrong_photo", "duplicate", "restored"]),
                name="correction_kind",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="correction_says_why"),
            models.CheckConstraint(
                condition=Q(kind__in=["wrong_eye", "wrong_patient"]) & ~Q(after="")
                | Q(kind__in=["wrong_photo", "duplicate", "restored"], before="", after=""),
                name="correction_of_what",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.before} -> {self.after}" if self.after else self.get_kind_display()
