"""Saved filters: searches of the list of uploads that a user keeps under a name."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.utils import timezone


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The filters that `user` saved; nobody sees another user's."""
        return self.filter(user=user) if isinstance(user, User) else self.none()


class SavedFilter(models.Model):
    """A query string of the list of uploads, under a name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters")
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=500, help_text="As in the address, without the question mark.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "name"], name="one_saved_filter_per_name")]

    def __str__(self) -> str:
        return self.name
