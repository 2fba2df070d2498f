"""An image comes in, a prediction goes out: the rows of the first third of the loop.

What the model said (Prediction) and what a person said (review.Reading, review.Label) never share a column.
"""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.status import StatusQuerySet


class Split(models.TextChoices):
    TRAIN = "train", "training"
    CALIBRATION = "calibration", "calibration"
    TEST = "test", "test"
    EXCLUDED = "excluded", "left out: its cluster merged with one of another split"


class Cluster(models.Model):
    """Images that must never be on two sides of an evaluation: one patient, joined with near-duplicates.

    The split is decided once, when the cluster is made, and never moves.
    """

    split = models.CharField(max_length=11, choices=Split)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(split__in=Split.values), name="cluster_split")]

    def __str__(self) -> str:
        return f"cluster {self.pk} ({self.split})"


class EyeImage(models.Model):
    """One stored photo: the stripped original of what was sent, and everything known about how it was taken."""

    class Eye(models.TextChoices):
        OD = "OD", "right eye (OD)"
        OS = "OS", "left eye (OS)"
        UNKNOWN = "", "not stated"

    class Source(models.TextChoices):
        UPLOAD = "upload", "web page"
        API = "api", "API"
        COMMAND = "command", "command line"
        IMPORT = "import", "import"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sha256 = models.CharField(max_length=64, unique=True, help_text="Of the bytes as they were sent.")
    stored_sha256 = models.CharField(max_length=64, help_text="Of the stripped file; also its address in storage.")
    stored_name = models.CharField(max_length=100, help_text="Path below the photo folder.")
    original_name = models.CharField(max_length=100, blank=True, help_text="A label only; never a path.")
    format = models.CharField(max_length=8)
    width = models.PositiveIntegerField(help_text="After orientation, in pixels.")
    height = models.PositiveIntegerField(help_text="After orientation, in pixels.")
    size = models.PositiveBigIntegerField(help_text="Of the stored file, in bytes.")
    orientation = models.PositiveSmallIntegerField(default=1, help_text="EXIF orientation, 1 to 8.")
    colour_profile = models.CharField(max_length=64, blank=True)
    perceptual_hash = models.CharField(max_length=16, db_index=True, help_text="64-bit pHash in hex.")

    patient_key = models.CharField(max_length=64, blank=True, db_index=True, help_text="Pseudonym, never a name.")
    eye = models.CharField(max_length=2, choices=Eye, blank=True)
    site = models.CharField(max_length=64, blank=True, db_index=True)
    device = models.CharField(max_length=64, blank=True)
    captured_at = models.DateTimeField(null=True, blank=True)
    capture = models.JSONField(default=dict, blank=True, help_text="Allow-listed technical facts from the header.")
    quality = models.JSONField(default=dict, blank=True, help_text="Brightness, sharpness and the like, as measured.")
    may_train = models.BooleanField(default=True, help_text="Consent to use this photo for training.")

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="images")
    split = models.CharField(max_length=11, choices=Split)
    near_duplicate_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    source = models.CharField(max_length=8, choices=Source)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        permissions: ClassVar = [
            ("view_every_eyeimage", "Can see the photos of every uploader"),
            ("download_original", "Can download stored originals"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(eye__in=["OD", "OS", ""]), name="image_eye"),
            models.CheckConstraint(condition=Q(split__in=Split.values), name="image_split"),
            models.CheckConstraint(condition=Q(orientation__range=(1, 8)), name="image_orientation"),
        ]

    def __str__(self) -> str:
        return f"{self.patient_key or 'no patient'} {self.eye} {self.sha256[:12]}"


class Embedding(models.Model):
    """What one encoder made of one image. Kept for training, similarity search and drift."""

    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="embeddings")
    encoder = models.CharField(max_length=64, help_text="Hash of the encoder that made it.")
    vector = models.BinaryField(help_text="Little-endian float32: the fast model's features for this photo.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["image", "encoder"], name="one_embedding_per_encoder")]

    def __str__(self) -> str:
        return f"{self.image_id} by {self.encoder[:12]}"


class ReleaseQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "champion": frozenset({"challenger", "retired"}),
        "retired": frozenset({"champion"}),
        "rejected": frozenset({"challenger"}),
    }


class Release(models.Model):
    """The deployable unit: a verified folder below the release folder, named by its id.

    CHALLENGER -> CHAMPION -> RETIRED -> CHAMPION (rollback); CHALLENGER -> REJECTED.
    """

    class Status(models.TextChoices):
        CHALLENGER = "challenger"
        CHAMPION = "champion"
        RETIRED = "retired"
        REJECTED = "rejected"

    id = models.CharField(primary_key=True, max_length=64)
    status = models.CharField(max_length=10, choices=Status, default=Status.CHALLENGER)
    manifest_sha256 = models.CharField(max_length=64)
    encoder = models.CharField(max_length=64, help_text="Hash of the encoder.")
    manifest = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    promoted_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        permissions: ClassVar = [("promote_release", "Can promote a release and roll back")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["status"], condition=Q(status="champion"), name="one_champion"),
            models.CheckConstraint(
                condition=Q(status__in=["challenger", "champion", "retired", "rejected"]), name="release_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="champion") | Q(promoted_at__isnull=False), name="champion_was_promoted"
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Promotion(models.Model):
    """One change of champion, with who and why. Append-only."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="promotions")
    previous = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    promoted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField()
    is_rollback = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.release_id} on {self.created_at:%Y-%m-%d %H:%M}"


class PredictionQuerySet(StatusQuerySet):
    MOVES: ClassVar = {"done": frozenset({"queued"}), "failed": frozenset({"queued"}), "queued": frozenset({"failed"})}


class Prediction(models.Model):
    """What one release said of one EyeImage. Never changed once it is DONE.

    QUEUED -> DONE, or QUEUED -> FAILED after three attempts; FAILED -> QUEUED when an admin asks again.
    Without a champion a prediction is DONE with no decision and the reason `no_champion`: a person looks.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        DONE = "done"
        FAILED = "failed"

    class Decision(models.TextChoices):
        CATARACT = "cataract", "Probably cataract"
        NORMAL = "normal", "No sign of cataract in this photo"
        UNGRADABLE = "ungradable", "Cannot judge"

    class Mode(models.TextChoices):
        CASCADE = "cascade"
        FAST = "fast"
        ACCURATE = "accurate"
        ALWAYS = "always"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="predictions")
    status = models.CharField(max_length=6, choices=Status, default=Status.QUEUED)
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.CASCADE)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    attempts = models.PositiveSmallIntegerField(default=0, help_text="Also the fencing token of whoever works on it.")
    lease_until = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    release = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, blank=True, related_name="predictions")
    policy_version = models.CharField(max_length=32, blank=True)
    decision = models.CharField(max_length=10, choices=Decision, blank=True)
    probability = models.FloatField(
        null=True, blank=True, help_text="Calibrated probability of cataract behind the decision."
    )
    fast_score = models.FloatField(null=True, blank=True, help_text="Raw score (log-odds) of the fast model.")
    fast_probability = models.FloatField(null=True, blank=True)
    accurate_score = models.FloatField(null=True, blank=True, help_text="Raw score (logit) of the accurate model.")
    accurate_probability = models.FloatField(null=True, blank=True)
    route = models.CharField(max_length=16, blank=True, help_text="gate, fast, accurate or fast+accurate.")
    needs_review = models.BooleanField(default=False)
    reasons = models.JSONField(default=list, blank=True)
    review_propensity = models.FloatField(
        null=True,
        blank=True,
        help_text="Probability with which this prediction was to be sent to review; 1 when forced.",
    )
    gate = models.JSONField(default=dict, blank=True, help_text="What the gate measured and said.")
    timings = models.JSONField(default=dict, blank=True, help_text="Milliseconds per stage.")

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["status", "lease_until"], name="prediction_waiting"),
            models.Index(fields=["needs_review", "status"], name="prediction_for_review"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=["queued", "done", "failed"]), name="prediction_status"),
            models.CheckConstraint(
                condition=Q(decision__in=["cataract", "normal", "ungradable", ""]), name="prediction_decision"
            ),
            models.CheckConstraint(
                condition=~Q(status="done")
                | (
                    Q(done_at__isnull=False, review_propensity__gt=0, review_propensity__lte=1)
                    & (Q(release__isnull=False) & ~Q(decision="") | Q(decision="", needs_review=True))
                ),
                name="done_prediction_is_complete",
            ),
            models.CheckConstraint(
                condition=~Q(status="queued") | Q(decision="", done_at__isnull=True), name="queued_prediction_is_silent"
            ),
            models.CheckConstraint(
                condition=Q(probability__isnull=True) | Q(probability__gte=0, probability__lte=1),
                name="prediction_probability",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.decision or self.status}"


class Disclosure(models.Model):
    """That a person has been shown what the AI said of an image. Such a person is never its blind reader."""

    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="disclosures")
    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="disclosures")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["prediction", "user"], name="one_disclosure_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} saw {self.prediction_id}"


class IdempotentRequest(models.Model):
    """One POST that carried an Idempotency-Key: the same key and body get the same answer for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    endpoint = models.CharField(max_length=64)
    key = models.CharField(max_length=128)
    body_sha256 = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True, help_text="Empty while the first request still runs.")
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "endpoint", "key"], name="one_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.key}"


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
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class BatchQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "done": frozenset({"running"}),
        "cancelled": frozenset({"running"}),
        "running": frozenset({"cancelled"}),
    }


class Batch(models.Model):
    """Many photos that were sent at once, for a worker to go through.

    RUNNING -> DONE, or RUNNING -> CANCELLED -> RUNNING when somebody goes on with it.
    """

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=9, choices=Status, default=Status.RUNNING)
    name = models.CharField(max_length=100, blank=True, help_text="A label only: the archive's name.")
    archive = models.BooleanField(default=False, help_text="Whether one ZIP was sent, not the files.")
    mode = models.CharField(max_length=8, choices=Prediction.Mode, default=Prediction.Mode.CASCADE)
    source = models.CharField(max_length=8, choices=EyeImage.Source)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    total = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    done_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="Also the fencing token of whoever works on it.")
    lease_until = models.DateTimeField(null=True, blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "batches"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=["running", "done", "cancelled"]), name="batch_status"),
            models.CheckConstraint(condition=~Q(status="done") | Q(done_at__isnull=False), name="batch_done_at"),
        ]

    def __str__(self) -> str:
        return f"{self.total} files, {self.status}"


class BatchItemQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "stored": frozenset({"waiting"}),
        "known": frozenset({"waiting"}),
        "refused": frozenset({"waiting"}),
    }


class BatchItem(models.Model):
    """One file of a batch and what became of it. WAITING -> STORED, KNOWN (sent before) or REFUSED."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        STORED = "stored"
        KNOWN = "known"
        REFUSED = "refused"

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=255, help_text="As it was sent; a label only, never a path.")
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    patient_key = models.CharField(max_length=64, blank=True)
    eye = models.CharField(max_length=2, choices=EyeImage.Eye, blank=True)
    site = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=64, blank=True)
    captured_at = models.DateTimeField(null=True, blank=True)
    may_train = models.BooleanField(default=True)
    prediction = models.ForeignKey(Prediction, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    code = models.CharField(max_length=32, blank=True, help_text="Why it was refused, for programs.")
    message = models.TextField(blank=True, help_text="Why it was refused, for people.")

    objects = BatchItemQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["batch", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "position"], name="one_item_per_position"),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "stored", "known", "refused"]), name="batch_item_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="stored") | Q(prediction__isnull=False), name="stored_item_has_a_prediction"
            ),
            models.CheckConstraint(condition=~Q(status="refused") | ~Q(code=""), name="refused_item_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.status}"


class WebhookEndpoint(models.Model):
    """An address of another system that is told when something happened. Its owner's rights say about what."""

    class Event(models.TextChoices):
        PREDICTION_FINISHED = "prediction.finished", "a prediction is finished"
        CASE_RESOLVED = "case.resolved", "people agreed on a photo"
        RELEASE_PROMOTED = "release.promoted", "another release serves"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=64, editable=False, help_text="Signs each message.")
    events = models.JSONField(default=list)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.url


class WebhookDeliveryQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "delivered": frozenset({"waiting"}),
        "failed": frozenset({"waiting"}),
        "waiting": frozenset({"failed", "delivered"}),
    }


class WebhookDelivery(models.Model):
    """One message to one endpoint, written with the event itself (an outbox) and sent by a worker.

    WAITING -> DELIVERED, or WAITING -> FAILED after the last attempt; either goes back to WAITING when sent again.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=32, choices=WebhookEndpoint.Event)
    payload = models.JSONField()
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Also the fencing token of whoever sends it.")
    next_at = models.DateTimeField(default=timezone.now, help_text="Not sent before; a lease while it is being sent.")
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "webhook deliveries"
        indexes: ClassVar = [models.Index(fields=["status", "next_at"], name="delivery_due")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "delivered", "failed"]), name="webhook_delivery_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="delivered") | Q(delivered_at__isnull=False), name="delivered_has_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint_id}: {self.status}"
