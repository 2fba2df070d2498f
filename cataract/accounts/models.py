"""What the system knows of an account beyond Django's user."""

from django.conf import settings
from django.db import models


class Account(models.Model):
    """One row for a user about whom there is something to know; without a row, nothing is true."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True)
    must_change_password = models.BooleanField(
        default=False, help_text="Somebody else knows the password: it is changed at the next sign-in."
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user)
