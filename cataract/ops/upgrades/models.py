"""Which versions of the program this installation has had."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class InstalledVersion(models.Model):
    """One version that made the database ready, and since when. Append-only; the newest row is the version of today."""

    version = models.CharField(max_length=32)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "cataract"
        ordering: ClassVar = ["-since", "-pk"]
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"{self.version} since {self.since:%Y-%m-%d}"
