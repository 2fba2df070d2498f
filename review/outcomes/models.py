"""Outcomes: what an eye doctor found later in one eye of a patient."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cataract.ml.labels import CATARACT, NORMAL
from predictions.photos.models import EyeImage
from predictions.sites.models import Patient


class OutcomeQuerySet(models.QuerySet["Outcome"]):
    def standing(self) -> Self:
        """Outcomes that no correction supersedes."""
        return self.filter(superseded_at__isnull=True)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The outcomes of patients whose photos `user` may see, and those that `user` recorded.

        Outcomes of deleted patients are shown to nobody.
        """
        kept = Exists(EyeImage.objects.kept().filter(patient=OuterRef("patient")))
        seen = Exists(EyeImage.objects.visible_to(user).filter(patient=OuterRef("patient")))
        return self.filter(kept, seen | Q(recorded_by_id=user.pk))


class Outcome(models.Model):
    """What an eye doctor found in one eye on one day. Append-only: a correction supersedes."""

    class Source(models.TextChoices):
        EXAMINATION = "examination", "examination by an eye doctor"
        LETTER = "letter", "letter from an eye doctor"
        OPERATION = "operation", "operation report"
        SYSTEM = "system", "another system"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="outcomes")
    eye = models.CharField(max_length=2, choices=[(eye, EyeImage.Eye(eye).label) for eye in EyeImage.Eye.known()])
    cataract = models.BooleanField()
    operated = models.BooleanField(default=False)
    seen_on = models.DateField(help_text="Day of the examination, or of the operation.")
    source = models.CharField(max_length=11, choices=Source, default=Source.EXAMINATION)
    note = models.CharField(max_length=500, blank=True)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    superseded_at = models.DateTimeField(null=True, blank=True)

    objects = OutcomeQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["patient", "eye", "seen_on"],
                condition=Q(superseded_at__isnull=True),
                name="one_standing_outcome_per_eye_and_day",
            ),
            models.CheckConstraint(condition=Q(eye__in=["OD", "OS"]), name="outcome_eye"),
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} {self.eye} {self.seen_on}: {'cataract' if self.cataract else 'no cataract'}"

    @property
    def truth(self) -> str:
        """What photos taken shortly before show: cataract or normal; "" for an eye operated before it was seen."""
        if self.cataract:
            return CATARACT
        return "" if self.operated else NORMAL
