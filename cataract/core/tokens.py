"""API keys: made once, shown once, revoked at any time.

Only an HMAC of a key is stored, so a stolen database opens nothing.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from cataract.core.errors import BadField
from cataract.core.models import ApiToken

PREFIX = "cat_"
WARN_BEFORE = timedelta(days=14)  # how long before a key ends its owner and the admins are told
_SALT = "predictions.ApiToken"


def new_key() -> str:
    """A new key with 256 bits of randomness."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str, *, secret: str | None = None) -> str:
    """The stored form of a key: HMAC-SHA256 under a pepper derived from SECRET_KEY, 64 hex digits."""
    return salted_hmac(_SALT, key, secret=secret, algorithm="sha256").hexdigest()


def create_token(
    *, user: User, name: str, scopes: list[str], days: int, by: User | None = None
) -> tuple[ApiToken, str]:
    """Make a key for another system; return its row and the key itself, which is stored nowhere.

    by: who makes it, the user themselves if None. Only they make a key that reads cases in their name. Raises BadField
    for that, for an unknown scope or for a life outside 1 to 730 days.
    """
    if ApiToken.Scope.REVIEW in scopes and by is not None and by != user:
        raise BadField("scopes", "A key that reads cases is made by its reader only, under My account.")
    if not scopes or not set(scopes) <= set(ApiToken.Scope.values):
        raise BadField("scopes", f"Choose at least one of {', '.join(ApiToken.Scope.values)}.")
    if not 1 <= days <= 730:
        raise BadField("days", "A key lives 1 to 730 days.")
    plain = new_key()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        digest=digest(plain),
        scopes=sorted(set(scopes)),
        expires_at=timezone.now() + timedelta(days=days),
    )
    return token, plain


@dataclass(frozen=True)
class Credential:
    """By what a request was made: an API key, or a session, named by its mark; neither in a program of our own."""

    key: ApiToken | None = None
    session: str | None = None


def session_mark(session_key: str) -> str:
    """A name for a session that opens nothing: it stands in the record of the sign-in and of what was done."""
    return salted_hmac("cataract.session", session_key, algorithm="sha256").hexdigest()[:32]


def ending_soon() -> QuerySet[ApiToken]:
    """The living keys that end within WARN_BEFORE."""
    now = timezone.now()
    living = ApiToken.objects.filter(revoked_at__isnull=True, user__is_active=True)
    return living.filter(expires_at__gt=now, expires_at__lte=now + WARN_BEFORE)


def revoke_token(*, token: ApiToken) -> None:
    """End a key's life now. Safe to repeat."""
    ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
