"""Clinics, with their users, patients and devices."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Exists, FilteredRelation, OuterRef, Q
from django.utils import timezone

from cataract.core.compiled import Parameter


class SiteQuerySet(models.QuerySet["Site"]):
    def of(self, user: AbstractBaseUser | AnonymousUser | None) -> Self:
        """The sites for which `user` may send photos: those the user belongs to; all for a user without any."""
        if not isinstance(user, User):
            return self
        own = self.filter(users=user)
        return own if own.exists() else self

    def default(self) -> "Site":
        """The site of whoever names none and belongs to none: the oldest one."""
        return self.order_by("pk").first() or self.get_or_create(name=Site.FIRST_NAME)[0]

    def preferred_by(self, user: AbstractBaseUser | AnonymousUser | None) -> Self:
        """These sites in the order in which they are meant by `user`, who names none: the user's own ones first."""
        return self.with_own_first(user) if isinstance(user, User) else self.order_by("pk")

    def with_own_first(self, user: User | Parameter) -> Self:
        """These sites, the oldest of this user first; then the oldest of the others."""
        is_own = Exists(Site.users.through.objects.filter(site=OuterRef("pk"), user=user))
        return self.alias(is_own=is_own).order_by("-is_own", "pk")

    def with_patient(self, key: str) -> Self:
        """These sites, each with `known_patient`: its patient with this key, None where there is none."""
        known = FilteredRelation("patients", condition=Q(patients__key=key))
        return self.annotate(known_patient=known).select_related("known_patient")


class Site(models.Model):
    """A clinic. Photos, patients and devices belong to exactly one, users to any number."""

    FIRST_NAME = "Main site"

    name = models.CharField(max_length=64, unique=True)
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="sites")
    letterhead = models.TextField(
        blank=True, help_text="Name, address and telephone as they stand on letters. Empty: the name."
    )
    trains_by_default = models.BooleanField(
        "consent is ticked at first",
        default=True,
        help_text="Whether the upload form starts with consent to train ticked. The sender can always change it.",
    )
    retention_days = models.PositiveIntegerField(
        "days to keep photos",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Older photos go to the trash each night, unless their patient is on hold. Empty: photos are kept.",
    )
    deletion_needs_two = models.BooleanField(
        "deletions need a second person",
        default=False,
        help_text="Whether an administrator other than the one who asks must confirm each deletion.",
    )
    accepts_by_device = models.BooleanField(
        "automatic answers by device",
        default=False,
        help_text="Whether automatic answers are accepted for each camera or phone by itself. The photos of one then "
        "say nothing about another, and each needs labels of its own.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = SiteQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """A camera or phone model in use at a site, found in the photos themselves or entered by a person."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="devices")
    name = models.CharField(max_length=64, help_text="Manufacturer and model.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["site", "name"], name="one_device_per_name")]

    def __str__(self) -> str:
        return self.name


class DeviceSpelling(models.Model):
    """Another spelling of a device's name: that device was merged into it. Photos that state it belong to `device`."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=64)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="spellings")
    merged_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    merged_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["site", "name"], name="one_device_per_spelling")]

    def __str__(self) -> str:
        return self.name


class PatientQuerySet(models.QuerySet["Patient"]):
    def decided_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The patients whose consent and deletion `user` may decide, if permitted to at all.

        Every patient for those who may see every photo, else those of the user's sites and of the user's uploads.
        """
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self
        own = self.model.objects.filter(images__uploaded_by=user).values("pk")
        return self.filter(Q(site__in=user.sites.all()) | Q(pk__in=own))


class Patient(models.Model):
    """One patient of a site, known by a pseudonym. The same pseudonym at another site is another patient."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="patients")
    key = models.CharField(max_length=64, db_index=True, help_text="Pseudonym, never a name.")
    consent_withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then no new photo of this patient may train."
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["key"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "key"], name="one_patient_per_key"),
            models.CheckConstraint(condition=~Q(key=""), name="patient_has_a_key"),
        ]

    def __str__(self) -> str:
        return self.key
