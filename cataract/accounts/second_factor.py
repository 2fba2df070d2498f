"""Second factors: who needs one, how their secrets are stored, and that no code counts twice or is guessed."""

import base64
import time

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base import forms
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.crypto import salted_hmac

from cataract.core.broker import counters

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_CODES, _WINDOW = 10, 300  # codes that one account may try in so many seconds
_PERIOD = 30  # seconds for which a TOTP code counts (RFC 6238)


def needs_one(user: User) -> bool:
    """Whether a role of `user`, or being superuser, needs a second factor (SECOND_FACTOR_ROLES)."""
    roles = settings.SECOND_FACTOR_ROLES
    return bool(roles) and (user.is_superuser or user.groups.filter(name__in=roles).exists())


def has_one(user: User) -> bool:
    return Authenticator.objects.filter(user=user, type__in=_FACTORS).exists()


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets are encrypted under SECRET_KEY; whoever needs a second factor keeps the last one."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        others = Authenticator.objects.filter(user=authenticator.user_id, type__in=_FACTORS).exclude(
            pk=authenticator.pk
        )
        return others.exists() or not needs_one(authenticator.user)

    def get_totp_label(self, user: User) -> str:
        return user.get_username()


def _cipher() -> MultiFernet:
    """Encrypts under SECRET_KEY, and still reads what was encrypted under its earlier values."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [salted_hmac("cataract.second-factor", "", secret=key, algorithm="sha256").digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class _LimitedCodes(forms.BaseAuthenticateForm):  # type: ignore[misc]
    """A code of the app or a recovery code; all processes together count how many an account tries."""

    def clean_code(self) -> str:
        window, passed = divmod(int(time.time()), _WINDOW)
        if counters.count(f"second-factor-{self.user.pk}-{window}", seconds=_WINDOW) > _CODES:
            raise ValidationError(f"Too many codes. Try again in {-(-(_WINDOW - passed) // 60)} minutes.")
        code: str = super().clean_code()
        if self.authenticator.type == Authenticator.Type.TOTP:
            _spend(self.authenticator)
        return code


class AuthenticateForm(_LimitedCodes, forms.AuthenticateForm):  # type: ignore[misc]
    """The second step of signing in."""


class ReauthenticateForm(_LimitedCodes, forms.ReauthenticateForm):  # type: ignore[misc]
    """Confirming who one is."""


def _spend(authenticator: Authenticator) -> None:
    """Let the code of this half-minute count once, whichever process checks it. Raises ValidationError."""
    period = int(time.time()) // _PERIOD
    with transaction.atomic():
        row = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
        if row.data.get("last_period", -1) >= period:
            raise ValidationError("This code was used already. Wait for the next one.")
        row.data["last_period"] = period
        row.save(update_fields=["data"])
        authenticator.data = row.data
