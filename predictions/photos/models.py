"""Stored photos, the words by which copies are found, clusters, and near-copies under two patient keys."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery, Value
from django.db.models.functions import Substr
from django.db.models.lookups import Exact, IsNull
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet
from cataract.ml.photos.duplicates import BAND_LENGTH, BANDS
from predictions.sites.models import Device, Patient, Site


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


class EyeImageQuerySet(StatusQuerySet["EyeImage"]):
    MOVES: ClassVar = {
        "trashed": frozenset({"kept"}),
        "kept": frozenset({"trashed"}),
        "purging": frozenset({"trashed"}),
        "purged": frozenset({"purging"}),
    }

    def kept(self) -> Self:
        """The photos that are neither in the trash nor purged: the only ones that pages, queues and datasets use."""
        return self.in_status(EyeImage.Status.KEPT)

    def deleted(self) -> Self:
        """The photos in the trash, and the purged ones."""
        return self.exclude(status=EyeImage.Status.KEPT)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The kept photos that `user` may see: every photo with that permission, else the user's own uploads.

        Whoever sends photos for a site also sees those that others sent for it.
        """
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self.kept()
        own = Q(uploaded_by_id=user.pk)
        if user.has_perm("predictions.add_eyeimage"):
            # The numbers, not a sub-query: the database then foresees how many photos it will find.
            own |= Q(site__in=list(user.sites.values_list("pk", flat=True)))
        return self.kept().filter(own)

    def in_use(self) -> Self:
        """Without the photos that were withdrawn or deleted: those are in no list, queue or dataset."""
        return self.kept().filter(withdrawn_at__isnull=True)

    def out_of_use(self) -> Self:
        """The withdrawn and deleted photos: few, and an index holds only them."""
        return self.filter(~Q(status=EyeImage.Status.KEPT) | Q(withdrawn_at__isnull=False))

    def always_read(self) -> Self:
        """The photos of the stream: people read them whatever the AI says, so they describe all photos unweighted."""
        return self.filter(always_read=True)

    def waiting_for_comparison(self) -> Self:
        """The kept photos that have not been compared with the others yet: they are in no dataset until then."""
        return self.kept().filter(compared_at__isnull=True)

    def same_eye_as(self, *, cluster: Any, patient: Any, eye: Any) -> Self:
        """The photos of a cluster that may show the same eye as one of them: that photo, its copies, other shots.

        An answer about one of them is an answer about all. The other eye of the patient is left out where both eyes are
        stated. `cluster`, `patient` and `eye`: the photo's own, as expressions.
        """
        is_unknown = Q(Exact(eye, Value(""))) | Q(IsNull(patient, True)) | Q(eye="") | Q(patient__isnull=True)
        return self.filter(is_unknown | Q(eye=eye) | ~Q(patient=patient), cluster=cluster)

    def patients(self) -> models.QuerySet[Patient]:
        """The patients on these photos, each with `last_photo_at`: to look for one of them.

        `EyeImage.objects.visible_to(user).patients()`: those whom `user` may see. `last_of_patients` lists them.
        """
        own = self.filter(patient=OuterRef("pk")).order_by("-created_at")
        last = Subquery(own.values("created_at")[:1])
        return Patient.objects.filter(Exists(own)).annotate(last_photo_at=last).select_related("site")

    def last_of_patients(self) -> Self:
        """Of each patient on these photos the newest one: an index finds the first of them however many there are."""
        of_patient = self.filter(patient=OuterRef("patient"))
        newer = Q(created_at__gt=OuterRef("created_at")) | Q(created_at=OuterRef("created_at"), pk__lt=OuterRef("pk"))
        return self.filter(~Exists(of_patient.filter(newer)), patient__isnull=False).select_related("patient__site")

    def decided_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The photos whose consent and deletion `user` may decide, if permitted to at all.

        Every photo for those who may see every photo, else the user's own uploads and the photos of the user's sites.
        """
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self
        return self.filter(Q(uploaded_by_id=user.pk) | Q(site__in=user.sites.all()))


def _band(number: int) -> models.GeneratedField:
    """A quarter of the perceptual hash, which the database keeps: the index of near-duplicates."""
    part = Substr("perceptual_hash", number * BAND_LENGTH + 1, BAND_LENGTH)
    return models.GeneratedField(expression=part, output_field=models.CharField(max_length=4), db_persist=True)


class EyeImage(models.Model):
    """One stored photo: the original without its metadata, and everything known about how it was taken.

    KEPT -> TRASHED -> KEPT, or TRASHED -> PURGING -> PURGED: then the row is a tombstone that holds hashes and sizes,
    and neither patient nor file.
    """

    class Status(models.TextChoices):
        KEPT = "kept", "kept"
        TRASHED = "trashed", "in the trash"
        PURGING = "purging", "being purged"
        PURGED = "purged", "purged"

    class Eye(models.TextChoices):
        OD = "OD", "right eye (OD)"
        OS = "OS", "left eye (OS)"
        UNKNOWN = "", "not stated"

        @classmethod
        def known(cls) -> list[str]:
            """The values of the two eyes, without UNKNOWN."""
            return [cls.OD.value, cls.OS.value]

        @property
        def other(self) -> "EyeImage.Eye":
            """The other eye of the patient; UNKNOWN of UNKNOWN."""
            return {"OD": EyeImage.Eye.OS, "OS": EyeImage.Eye.OD}.get(self.value, EyeImage.Eye.UNKNOWN)

    class Source(models.TextChoices):
        UPLOAD = "upload", "web page"
        API = "api", "API"
        COMMAND = "command", "command line"
        IMPORT = "import", "import"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=7, choices=Status, default=Status.KEPT, db_index=True)
    removed_at = models.DateTimeField(null=True, blank=True, help_text="When it last moved towards the purge.")
    sha256 = models.CharField(max_length=64, db_index=True, help_text="Of the bytes as sent.")
    stored_sha256 = models.CharField(max_length=64, help_text="Of the stripped file; also its address in storage.")
    stored_name = models.CharField(max_length=100, blank=True, help_text="Path below the photo folder.")
    original_name = models.CharField(max_length=100, blank=True, help_text="A label only; never a path.")
    format = models.CharField(max_length=8)
    width = models.PositiveIntegerField(help_text="After orientation, in pixels.")
    height = models.PositiveIntegerField(help_text="After orientation, in pixels.")
    size = models.PositiveBigIntegerField(help_text="Of the stored file, in bytes.")
    orientation = models.PositiveSmallIntegerField(default=1, help_text="EXIF orientation, 1 to 8.")
    colour_profile = models.CharField(max_length=64, blank=True)
    perceptual_hash = models.CharField(max_length=16, blank=True, db_index=True, help_text="64-bit pHash in hex.")
    band_0, band_1, band_2, band_3 = (_band(number) for number in range(BANDS))

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="images")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="images")
    eye = models.CharField(max_length=2, choices=Eye, blank=True)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, null=True, blank=True, related_name="images")
    captured_at = models.DateTimeField(null=True, blank=True)
    capture = models.JSONField(default=dict, blank=True, help_text="Allow-listed technical facts from the header.")
    quality = models.JSONField(default=dict, blank=True, help_text="Brightness, sharpness and other measurements.")
    may_train = models.BooleanField(default=True, help_text="Consent to use this photo for training.")
    always_read = models.BooleanField(
        default=False, help_text="Drawn, before any answer, among those that people read whatever the AI says."
    )
    always_read_rate = models.FloatField(
        null=True, blank=True, help_text="The share of patients that was drawn when it was stored; empty for imports."
    )

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="images")
    split = models.CharField(max_length=11, choices=Split)
    near_duplicate_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    compared_at = models.DateTimeField(
        null=True, blank=True, help_text="When cropped, turned and mirrored copies of it were looked for."
    )
    retake_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="retakes",
        help_text="The photo of the same eye that this one was taken to replace.",
    )

    corrected_at = models.DateTimeField(
        null=True, blank=True, help_text="When its eye or patient was last corrected, or it was withdrawn or restored."
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True, help_text="Sent by mistake; it stays on record only.")

    source = models.CharField(max_length=8, choices=Source)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = EyeImageQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        permissions: ClassVar = [
            ("view_every_eyeimage", "Can see the photos of every uploader"),
            ("download_original", "Can download stored originals"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["patient", "uploaded_by", "-created_at"], name="image_of_patient"),
            models.Index(fields=["created_at"], condition=Q(compared_at__isnull=True), name="image_not_compared"),
            *(
                models.Index(fields=[f"band_{number}", "perceptual_hash"], name=f"image_band_{number}")
                for number in range(BANDS)
            ),  # they hold all that `lookalikes` reads, so that it reads no row
            models.Index(fields=["corrected_at"], condition=Q(corrected_at__isnull=False), name="image_corrected"),
            models.Index(
                fields=["id"], condition=~Q(status="kept") | Q(withdrawn_at__isnull=False), name="image_out_of_use"
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["sha256"], condition=~Q(status="purged"), name="one_image_per_bytes"),
            models.CheckConstraint(
                condition=Q(status="kept", removed_at__isnull=True)
                | Q(status__in=["trashed", "purging", "purged"], removed_at__isnull=False),
                name="image_status",
            ),
            models.CheckConstraint(
                condition=~Q(status="purged")
                | Q(
                    stored_name="",
                    original_name="",
                    perceptual_hash="",
                    patient__isnull=True,
                    eye="",
                    device__isnull=True,
                    captured_at__isnull=True,
                    may_train=False,
                ),
                name="purged_image_is_a_tombstone",
            ),
            models.CheckConstraint(condition=~Q(stored_name="") | Q(status="purged"), name="image_has_a_file"),
            models.CheckConstraint(condition=Q(eye__in=["OD", "OS", ""]), name="image_eye"),
            models.CheckConstraint(
                condition=Q(always_read=False) | Q(always_read_rate__gt=0, always_read_rate__lte=1),
                name="drawn_image_has_a_rate",
            ),
            models.CheckConstraint(condition=Q(split__in=Split.values), name="image_split"),
            models.CheckConstraint(condition=Q(orientation__range=(1, 8)), name="image_orientation"),
        ]

    def __str__(self) -> str:
        return f"{self.patient_key or 'no patient'} {self.eye} {self.sha256[:12]}"

    @property
    def patient_key(self) -> str:
        """The patient's pseudonym; empty when none was stated."""
        return "" if self.patient is None else self.patient.key


class VisualWord(models.Model):
    """One visual word of one photo (`cataract.ml.photos.copies`): copies of a picture share several of them."""

    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="visual_words")
    word = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["word", "image"], name="one_word_per_photo")]

    def __str__(self) -> str:
        return f"{self.word} in {self.image_id}"


class WrongPatientCheckQuerySet(StatusQuerySet["WrongPatientCheck"]):
    MOVES: ClassVar = {"resolved": frozenset({"open"})}

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The checks of which `user` may see both photos."""
        seen = EyeImage.objects.visible_to(user).values("pk")
        return self.filter(image__in=seen, twin__in=seen)

    def open(self) -> Self:
        return self.in_status(WrongPatientCheck.Status.OPEN)

    def about(self, image: "uuid.UUID | models.OuterRef") -> Self:
        """The checks in which this photo, by its id, is one of the two."""
        return self.filter(Q(image=image) | Q(twin=image))


class WrongPatientCheck(models.Model):
    """Two photos that are nearly the same, under two patients: one of them may have the wrong patient key.

    OPEN -> RESOLVED, with an outcome and a reason, by a person of the site.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        RESOLVED = "resolved"

    class Outcome(models.TextChoices):
        CORRECTED = "corrected", "the same patient: corrected"
        KEPT = "kept", "different patients: kept"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="+")
    twin = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="+", help_text="The photo stored before.")
    status = models.CharField(max_length=8, choices=Status, default=Status.OPEN)
    outcome = models.CharField(max_length=9, choices=Outcome, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = WrongPatientCheckQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        indexes: ClassVar = [models.Index(fields=["status", "created_at"], name="wrong_patient_open")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["image", "twin"], name="one_check_per_pair"),
            models.CheckConstraint(
                condition=Q(status="open", outcome="", resolved_at__isnull=True, resolved_by__isnull=True)
                | Q(status="resolved", outcome__in=["corrected", "kept"], resolved_at__isnull=False)
                & Q(resolved_by__isnull=False)
                & ~Q(reason=""),
                name="resolved_check_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image} and {self.twin}: {self.outcome or self.status}"
