"""What another release says of labelled photos, and how far each side is: both can be computed again at any time."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.ml.labels import NORMAL
from predictions.acceptance.models import Acceptance, Scope
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from predictions.sites.models import Device, Site


class Rescore(models.Model):
    """What a release would have answered alone on a photo that it did not answer; empty where it asks for a person."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="+")
    answer = models.CharField(max_length=8, blank=True, choices=Acceptance.Side)
    error = models.TextField(blank=True, help_text="Why it could not be scored; then the photo is left out.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions: ClassVar = ()
        indexes: ClassVar = [models.Index(fields=["created_at"], name="rescore_by_time")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "image"], name="one_rescore_per_photo"),
            models.CheckConstraint(condition=Q(answer__in=["", "cataract", "normal"]), name="rescore_answer"),
            models.CheckConstraint(condition=Q(error="") | Q(answer=""), name="rescore_answer_or_error"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} by {self.release_id}: {self.answer or self.error or 'a person'}"


class Progress(models.Model):
    """How far one side of a release is at a site or device, as last counted. Rewritten by each count."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, null=True, related_name="+")
    by_device = models.BooleanField()
    side = models.CharField(max_length=8, choices=Acceptance.Side)
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    photos = models.PositiveIntegerField(help_text="Photos that were read and count, one for each patient.")
    waiting = models.PositiveIntegerField(help_text="Photos that wait for readers and will count.")
    to_score = models.PositiveIntegerField(default=0, help_text="Labelled photos that the release has yet to score.")
    n = models.PositiveIntegerField(help_text="Eyes with a cataract, or automatic “cataract” answers, among them.")
    errors = models.PositiveIntegerField()
    bound = models.FloatField(help_text="The largest share of errors that these photos do not refute.")
    limit = models.FloatField()
    confidence = models.FloatField()
    missing = models.PositiveIntegerField(
        null=True, help_text="How many more without an error are needed; empty where that is out of reach."
    )
    since = models.DateTimeField(null=True, help_text="Photos that arrived before do not count any more.")
    counted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions: ClassVar = ()
        ordering: ClassVar = ["site__name", "device__name", "side"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "device", "side", "release"], name="one_progress_per_device"),
            models.UniqueConstraint(
                fields=["site", "side", "release"], condition=Q(device__isnull=True), name="one_progress_per_site"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.site}, {self.get_side_display()}: {self.errors} of {self.n}"

    @property
    def scope(self) -> Scope:
        return Scope(self.site_id, self.device_id, self.by_device)

    @property
    def counts(self) -> str:
        """What `n` counts, in words."""
        if self.side == NORMAL:
            return "eye with a cataract" if self.n == 1 else "eyes with a cataract"
        return f"automatic “cataract” answer{'' if self.n == 1 else 's'}"

    @property
    def found(self) -> str:
        """What the labels show, in a sentence."""
        verb = "would have left as “no sign of cataract”" if self.side == NORMAL else "were wrong"
        if not self.n:
            return f"No {self.counts} among {self.photos} photo{'s' if self.photos != 1 else ''} that count."
        bound, limit = percent(self.bound), percent(self.limit)
        return f"{self.errors} of {self.n} {self.counts} {verb}: at most {bound}, where {limit} is allowed."

    @property
    def numbers(self) -> dict[str, int | float]:
        """The evidence as an acceptance keeps it."""
        names = ("photos", "n", "errors", "bound", "limit", "confidence")
        return {name: getattr(self, name) for name in names}


def percent(share: float) -> str:
    """A share with at most one digit after the point."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"
