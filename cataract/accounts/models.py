"""What the system knows of an account beyond Django's user."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Account(models.Model):
    """One row for a user about whom there is something to know; without a row, nothing is true."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True)
    must_change_password = models.BooleanField(
        default=False, help_text="Somebody else knows the password: it is changed at the next sign-in."
    )

    is_service = models.BooleanField(
        "service account", default=False, help_text="Another system's account: it has API keys and cannot sign in."
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user)


class FailedSignIns(models.Model):
    """How often a sign-in has failed lately: `accounts.attempts` says what follows from it."""

    class Scope(models.TextChoices):
        PAIR = "pair", "one name from one address"
        ACCOUNT = "account", "one name"
        ADDRESS = "address", "one address"
        DEVICE = "device", "one name in a known browser"

    scope = models.CharField(max_length=7, choices=Scope)
    key = models.CharField(max_length=64, help_text="A digest of name, address or browser.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["scope", "key"], name="one_count_of_failed_sign_ins")]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}: {self.failures}"
