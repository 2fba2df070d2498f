"""Embeddings of photos, and the jobs that compute them for a new encoder."""

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet
from predictions.photos.models import EyeImage
from predictions.releases.models import Release


class Embedding(models.Model):
    """One image as one encoder's vector. Kept for training, similarity search and drift."""

    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="embeddings")
    encoder = models.CharField(max_length=64, help_text="Hash of the encoder that made it.")
    vector = models.BinaryField(help_text="Little-endian float32: the fast model's features for this photo.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["encoder", "-created_at"], name="embedding_newest")]
        constraints: ClassVar = [models.UniqueConstraint(fields=["image", "encoder"], name="one_embedding_per_encoder")]

    def __str__(self) -> str:
        return f"{self.image_id} by {self.encoder[:12]}"

    @staticmethod
    def missing(encoder: str) -> models.QuerySet[EyeImage]:
        """The stored photos that this encoder has not seen."""
        return EyeImage.objects.kept().filter(~Exists(Embedding.objects.filter(image=OuterRef("pk"), encoder=encoder)))


class EmbeddingJobQuerySet(LeasedQuerySet["EmbeddingJob"]):
    OPEN = "waiting"
    MOVES: ClassVar = {"done": frozenset({"waiting"})}

    def ask_for(self, *, release: Release, user: User | None = None) -> "EmbeddingJob":
        """The waiting job that embeds every stored photo with the encoder of `release`; a new one if there is none.

        A worker starts it within seconds (`worker.sweep`); it ends at once when nothing is left to do.
        """
        job, _ = EmbeddingJob.objects.get_or_create(
            release=release,
            status=EmbeddingJob.Status.WAITING,
            defaults={"requested_by": user, "total": Embedding.missing(release.encoder).count()},
        )
        return job


class EmbeddingJob(models.Model):
    """Embed every stored photo with one release's encoder, for search, drift and training. WAITING -> DONE.

    The photos left are those after `cursor` without an Embedding: a job that was stopped, killed or run twice resumes
    there. At most one job per release waits.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="embedding_jobs")
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(
        default=0, help_text="Also the fencing token of the attempt that holds the lease."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    cursor = models.UUIDField(null=True, blank=True, help_text="The last photo processed.")
    total = models.PositiveIntegerField(default=0, help_text="Photos without an embedding when the job was requested.")
    embedded = models.PositiveIntegerField(default=0)
    unreadable = models.PositiveIntegerField(
        default=0, help_text="Photos whose file is missing or damaged: run doctor."
    )

    objects = EmbeddingJobQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=["waiting", "done"]), name="embedding_job_status"),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(finished_at__isnull=False), name="done_embedding_job_has_ended"
            ),
            models.UniqueConstraint(
                fields=["release"], condition=Q(status="waiting"), name="one_waiting_embedding_job"
            ),
        ]

    def __str__(self) -> str:
        return f"photos through {self.release_id}: {self.embedded} of {self.total}"
