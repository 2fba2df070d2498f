"""Labels: the agreed answer for each photo, and what an eye doctor found later."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cataract.ml.labels import CLASSES
from predictions.answering.answers import Answer
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase


class LabelQuerySet(models.QuerySet["Label"]):
    def standing(self) -> "LabelQuerySet":
        """Labels that no later one supersedes."""
        return self.filter(superseded_at__isnull=True)

    def best(self) -> "LabelQuerySet":
        """One standing label a photo: a later outcome where there is one, else what readers agreed on."""
        outcomes = Label.objects.standing().filter(image=OuterRef("image"), provenance=Label.Provenance.OUTCOME)
        return self.standing().filter(Q(provenance=Label.Provenance.OUTCOME) | ~Exists(outcomes))

    def training(self) -> "LabelQuerySet":
        """The best labels that may train, on photos in use whose sender agreed; answers given after the AI never do."""
        trainable = self.best().of_photos_in_use()
        return trainable.filter(may_train=True, image__may_train=True, answer__in=CLASSES)

    def always_read(self) -> "LabelQuerySet":
        """Labels of the photos of the stream (`EyeImage.objects.always_read()`)."""
        return self.filter(image__in=EyeImage.objects.always_read())

    def of_photos_in_use(self) -> "LabelQuerySet":
        """Labels of photos that are neither withdrawn nor deleted."""
        return self.filter(image__status=EyeImage.Status.KEPT, image__withdrawn_at__isnull=True)


class Label(models.Model):
    """The agreed answer for one photo, with the readings behind it. A correction supersedes; nothing is edited.

    What an eye doctor found later is a label of its own kind: it stands beside the agreed one.
    """

    class Provenance(models.TextChoices):
        BLIND = "blind", "blind reading"
        ADJUDICATED = "adjudicated", "adjudicated"
        AFTER_AI = "after_ai", "answered after the AI was shown"
        IMPORTED = "imported", "imported"
        OUTCOME = "outcome", "later outcome"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="labels")
    answer = models.CharField(max_length=10, choices=Answer)
    provenance = models.CharField(max_length=11, choices=Provenance)
    may_train = models.BooleanField(help_text="False for answers given after the AI was shown.")
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, null=True, blank=True, related_name="labels")
    readings = models.ManyToManyField(Reading, blank=True, related_name="labels")
    outcome = models.ForeignKey(
        "review.Outcome", on_delete=models.PROTECT, null=True, blank=True, related_name="labels", editable=False
    )
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
        indexes: ClassVar = [models.Index(fields=["-created_at", "-id"], name="label_newest")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["image"],
                condition=Q(superseded_at__isnull=True) & ~Q(provenance="outcome"),
                name="one_standing_label",
            ),
            models.UniqueConstraint(
                fields=["image"],
                condition=Q(superseded_at__isnull=True, provenance="outcome"),
                name="one_standing_outcome_label",
            ),
            models.CheckConstraint(condition=Q(answer__in=Answer.values), name="label_answer"),
            models.CheckConstraint(
                condition=~Q(provenance="after_ai") | Q(may_train=False), name="answers_after_ai_never_train"
            ),
        ]

    def __str__(self) -> str:
        return f"label {str(self.pk)[:8]}"
