"""Labels: the agreed answer for each photo."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.ml.labels import CLASSES
from predictions.answering.answers import Answer
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase


class LabelQuerySet(models.QuerySet["Label"]):
    def standing(self) -> "LabelQuerySet":
        """Labels that no later one supersedes."""
        return self.filter(superseded_at__isnull=True)

    def training(self) -> "LabelQuerySet":
        """Standing labels from blind, adjudicated or imported answers, on images that may train."""
        trainable = self.standing().of_kept_photos()
        return trainable.filter(may_train=True, image__may_train=True, answer__in=CLASSES)

    def of_kept_photos(self) -> "LabelQuerySet":
        """Labels of photos that are neither in the trash nor purged."""
        return self.filter(image__status=EyeImage.Status.KEPT)


class Label(models.Model):
    """The agreed answer for one photo, with the readings behind it. A correction supersedes; nothing is edited."""

    class Provenance(models.TextChoices):
        BLIND = "blind", "blind reading"
        ADJUDICATED = "adjudicated", "adjudicated"
        AFTER_AI = "after_ai", "answered after the AI was shown"
        IMPORTED = "imported", "imported"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="labels")
    answer = models.CharField(max_length=10, choices=Answer)
    provenance = models.CharField(max_length=11, choices=Provenance)
    may_train = models.BooleanField(help_text="False for answers given after the AI was shown.")
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, null=True, blank=True, related_name="labels")
    readings = models.ManyToManyField(Reading, blank=True, related_name="labels")
    weight = models.FloatField(default=1.0, help_text="Inverse of the probability with which the case was chosen.")
    created_at = models.DateTimeField(default=timezone.now)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    superseded_at = models.DateTimeField(
        null=True, blank=True, help_text="Set, in the same transaction, before its successor is stored."
    )

    objects = LabelQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["image"], condition=Q(superseded_at__isnull=True), name="one_standing_label"
            ),
            models.CheckConstraint(condition=Q(answer__in=Answer.values), name="label_answer"),
            models.CheckConstraint(
                condition=~Q(provenance="after_ai") | Q(may_train=False), name="answers_after_ai_never_train"
            ),
        ]

    def __str__(self) -> str:
        return f"label {str(self.pk)[:8]}"
