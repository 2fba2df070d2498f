"""Changes of the consent to train with a photo, or with all photos of a patient."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from predictions.photos.models import EyeImage
from predictions.sites.models import Patient


class ConsentChange(models.Model):
    """Somebody gave or withdrew consent. Append-only: `EyeImage.may_train` holds the present state.

    A change for a whole patient has one row without a photo, and one row for each photo that it changed.
    """

    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, null=True, blank=True, related_name="consent_changes")
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="consent_changes"
    )
    before = models.BooleanField()
    after = models.BooleanField()
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        permissions: ClassVar = [("change_consent", "Can give and withdraw consent to train with photos")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(image__isnull=False) | Q(patient__isnull=False), name="consent_is_of_a_photo_or_patient"
            ),
            models.CheckConstraint(condition=~Q(before=F("after")), name="consent_changes"),
            models.CheckConstraint(condition=~Q(reason=""), name="consent_change_says_why"),
        ]

    def __str__(self) -> str:
        what = "given" if self.after else "withdrawn"
        return f"consent {what} on {self.at:%Y-%m-%d}"
