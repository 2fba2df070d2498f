"""What is watched for drift, and every look at it."""

import uuid
from collections.abc import Iterable
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from cataract.ml.statistics.monitoring import Windows
from predictions.releases.models import Release
from predictions.sites.models import Device, Site

Member = tuple[str, int]  # the id of a prediction, and the cluster of its photo


class DriftSegmentQuerySet(models.QuerySet["DriftSegment"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """All segments for those who may see every photo, else all photos together and the user's own sites."""
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self
        return self.filter(Q(site__isnull=True) | Q(site__in=user.sites.all()))

    def drifted(self) -> Self:
        """The segments whose drift is confirmed and stands."""
        return self.filter(state=DriftSegment.State.DRIFTED)

    def named(self) -> Self:
        """With site and device, all photos together first, then site by site."""
        return self.select_related("site", "device").order_by(
            models.F("site__name").asc(nulls_first=True), models.F("device__name").asc(nulls_first=True)
        )


class DriftSegment(models.Model):
    """All photos, those of one site, or those of one device: watched for drift while one release serves.

    COLLECTING until its reference is large enough; then what the last look found. A new champion starts all over. Only
    the worker writes here, each time with the `version` that it read.
    """

    class Kind(models.TextChoices):
        ALL = "all", "all photos"
        SITE = "site", "one site"
        DEVICE = "device", "one device"

    class State(models.TextChoices):
        COLLECTING = "collecting", "Collecting photos"
        STABLE = "stable", "No drift"
        SUSPECTED = "suspected", "Drift suspected"
        DRIFTED = "drifted", "Drift confirmed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=6, choices=Kind)
    site = models.ForeignKey(Site, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.COLLECTING)
    since = models.DateTimeField(null=True, blank=True, help_text="When the drift that stands began, by estimate.")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    reference = models.JSONField(default=list, help_text="Predictions and clusters that recent ones are compared with.")
    recent = models.JSONField(default=list, help_text="The newest predictions and their clusters, oldest first.")
    fresh = models.PositiveIntegerField(default=0, help_text="Photos since the last look.")
    newest_at = models.DateTimeField(null=True, blank=True, help_text="When its newest photo was answered.")
    looked_at = models.DateTimeField(null=True, blank=True, help_text="When the newest photo of the last look was.")
    day = models.DateField(null=True, blank=True)
    day_photos = models.PositiveIntegerField(default=0, help_text="Photos on that day.")
    rate = models.FloatField(default=1.0, help_text="Share of the photos of that day that is taken.")
    read_until = models.DateTimeField(null=True, blank=True, help_text="Of all photos: answers up to then are counted.")
    version = models.PositiveIntegerField(default=0)

    objects = DriftSegmentQuerySet.as_manager()

    class Meta:
        default_permissions: ClassVar = ("view", "change")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="all", site__isnull=True, device__isnull=True)
                | Q(kind="site", site__isnull=False, device__isnull=True)
                | Q(kind="device", site__isnull=False, device__isnull=False),
                name="drift_segment_kind",
            ),
            models.CheckConstraint(
                condition=~Q(state="drifted") | Q(since__isnull=False, confirmed_at__isnull=False),
                name="drifted_segment_says_since_when",
            ),
            models.UniqueConstraint(fields=["kind"], condition=Q(kind="all"), name="one_drift_segment_of_all"),
            models.UniqueConstraint(fields=["site"], condition=Q(kind="site"), name="one_drift_segment_a_site"),
            models.UniqueConstraint(fields=["device"], condition=Q(kind="device"), name="one_drift_segment_a_device"),
        ]

    def __str__(self) -> str:
        if self.site is None:
            return "All photos"
        return f"{self.site}, {self.device}" if self.device is not None else str(self.site)

    @property
    def windows(self) -> Windows[Member]:
        """The photos that its looks compare."""
        return Windows([(a, b) for a, b in self.reference], [(a, b) for a, b in self.recent], self.fresh)

    @windows.setter
    def windows(self, windows: Windows[Member]) -> None:
        self.reference, self.recent = list(map(list, windows.reference)), list(map(list, windows.recent))
        self.fresh = windows.looked_at


class DriftCheckQuerySet(models.QuerySet["DriftCheck"]):
    def looks(self) -> Self:
        """Without the rows that say who started over."""
        return self.exclude(state=DriftCheck.State.RESTARTED)

    def newest_of(self, segments: "Iterable[DriftSegment]") -> "dict[uuid.UUID, DriftCheck]":
        """The newest of these rows for each segment, of the release that it watches now."""
        own = DriftCheck.objects.looks().filter(segment=OuterRef("segment"), release=OuterRef("segment__release"))
        newest = self.filter(segment__in=list(segments), pk=Subquery(own.order_by("-at", "-pk").values("pk")[:1]))
        return {row.segment_id: row for row in newest}


class DriftCheck(models.Model):
    """One look at a segment, or the fact that a person started it over. Append-only.

    measures: {name: {n_reference, n_recent, reference, recent, difference, low, high, p, alpha, has_drifted}}; of
    `embedding` the difference is the AUC of a classifier. estimated: {measure: {value, low, high, n}} without labels.
    """

    class State(models.TextChoices):
        STABLE = "stable", "No drift"
        SUSPECTED = "suspected", "Drift suspected"
        DRIFTED = "drifted", "Drift confirmed"
        RESTARTED = "restarted", "Started over"

    segment = models.ForeignKey(DriftSegment, on_delete=models.CASCADE, related_name="checks")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now, help_text="When the newest photo of the look was answered.")
    state = models.CharField(max_length=10, choices=State)
    n_reference = models.PositiveIntegerField(default=0)
    n_recent = models.PositiveIntegerField(default=0)
    alpha = models.FloatField(default=0.0, help_text="How likely this look was to be a false alarm, at most.")
    measures = models.JSONField(default=dict)
    estimated = models.JSONField(default=dict)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=500, blank=True)

    objects = DriftCheckQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        default_permissions: ClassVar = ("view",)
        indexes: ClassVar = [models.Index(fields=["segment", "-at"], name="drift_check_of_segment")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(state="restarted") | Q(by__isnull=False) & ~Q(reason=""), name="restart_of_drift_says_why"
            )
        ]

    def __str__(self) -> str:
        return f"{self.segment} on {self.at:%Y-%m-%d}: {self.get_state_display()}"

    @property
    def drifted(self) -> list[str]:
        """The measures that have drifted, the surest first."""
        found = [name for name, row in self.measures.items() if row["has_drifted"]]
        return sorted(found, key=lambda name: self.measures[name]["p"] / self.measures[name]["alpha"])
