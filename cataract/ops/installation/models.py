"""What is known of this installation as a whole: one row."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Installation(models.Model):
    """The one row about the installation. It tells a lost or exchanged secret key from the one that it began with."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    secret_digest = models.CharField(max_length=64, help_text="A digest of SECRET_KEY; the key cannot be read from it.")
    noted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "cataract"
        default_permissions: ClassVar = ()
        constraints: ClassVar = [models.CheckConstraint(condition=Q(pk=1), name="one_installation")]

    def __str__(self) -> str:
        return f"installation with the key of {self.noted_at:%Y-%m-%d}"
