"""Acceptances: where, and since when, a release may give an answer of one side alone."""

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from predictions.releases.models import Release
from predictions.sites.models import Device, Site


class Scope(NamedTuple):
    """Where an acceptance holds. Without `by_device` on all photos of the site, else on those of `device` (or none)."""

    site: int
    device: int | None
    by_device: bool


class AcceptanceQuerySet(models.QuerySet["Acceptance"]):
    def in_force(self) -> Self:
        """Without rows for devices of sites that no longer tell them apart, and the other way round."""
        return self.filter(by_device=F("site__accepts_by_device"))

    def standing(self, *, releases: Iterable[str], sites: Iterable[Any]) -> "dict[tuple[Scope, str, str], Acceptance]":
        """The newest row in force for each (scope, side, release)."""
        rows = self.in_force().filter(release__in=list(releases), site__in=list(sites)).order_by("at", "pk")
        return {(row.scope, row.side, row.release_id): row for row in rows.select_related("by", "site", "device")}

    def is_accepted(self, *, site: int, device: int | None, release: str, side: str) -> bool:
        """Whether this release may answer alone for a photo of this site and device. One query."""
        rows = self.in_force().filter(site=site, release=release, side=side)
        mine = Q(by_device=False) | Q(by_device=True, device=device)
        newest = rows.filter(mine).order_by("-at", "-pk").values_list("accepted", flat=True).first()
        return newest is True


class Acceptance(models.Model):
    """One change: a side of a release was accepted or withdrawn at a site, by evidence or by hand.

    Append-only: the database refuses every change; the newest row counts. Without a row a side is not accepted, and
    another release begins without rows.
    """

    class Side(models.TextChoices):
        CATARACT = "cataract", "“cataract”"
        NORMAL = "normal", "“no sign of cataract”"

    class Basis(models.TextChoices):
        EVIDENCE = "evidence", "by evidence"
        HAND = "hand", "by hand"
        RESTART = "restart", "counted again from here on"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="acceptances")
    device = models.ForeignKey(
        Device,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="acceptances",
        help_text="A device that is merged into another one takes its acceptance with it.",
    )
    by_device = models.BooleanField(default=False, help_text="Whether the site told devices apart at that time.")
    side = models.CharField(max_length=8, choices=Side)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="acceptances")
    accepted = models.BooleanField()
    basis = models.CharField(max_length=8, choices=Basis)
    numbers = models.JSONField(default=dict, help_text="The evidence then: n, errors, bound, limit, confidence.")
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    objects = AcceptanceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        default_permissions: ClassVar = ("view",)
        permissions: ClassVar = [("decide_acceptance", "Can accept and withdraw automatic answers")]
        indexes: ClassVar = [models.Index(fields=["site", "release", "side", "-at"], name="acceptance_of_site")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(side__in=["cataract", "normal"]), name="acceptance_side"),
            models.CheckConstraint(condition=Q(device__isnull=True) | Q(by_device=True), name="acceptance_of_device"),
            models.CheckConstraint(condition=~Q(reason=""), name="acceptance_says_why"),
            models.CheckConstraint(
                condition=Q(basis="evidence", by__isnull=True)
                | Q(basis="hand", by__isnull=False)
                | Q(basis="restart", by__isnull=False, accepted=False),
                name="acceptance_by_whom",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.site}: {self.get_side_display()} {'accepted' if self.accepted else 'not accepted'}"

    @property
    def scope(self) -> Scope:
        return Scope(self.site_id, self.device_id, self.by_device)
