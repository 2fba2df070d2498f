"""API keys: made once, shown once, revoked at any time.

Only an HMAC of a key is stored, so a stolen database opens nothing.
"""

import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import BadField
from cataract.core.models import ApiToken

PREFIX = "cat_"
_SALT = "predictions.ApiToken"


def new_key() -> str:
    """A new key with 256 bits of randomness."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str, *, secret: str | None = None) -> str:
    """The stored form of a key: HMAC-SHA256 under a pepper derived from SECRET_KEY, 64 hex digits."""
    return salted_hmac(_SALT, key, secret=secret, algorithm="sha256").hexdigest()


def create_token(*, user: User, name: str, scopes: list[str], days: int) -> tuple[ApiToken, str]:
    """Make a key for another system; return its row and the key itself, which is stored nowhere.

    Raises BadField for an unknown scope or a life outside 1 to 730 days.
    """
    if not scopes or not set(scopes) <= set(ApiToken.Scope.values):
        raise BadField("scopes", f"Choose at least one of {', '.join(ApiToken.Scope.values)}.")
    if not 1 <= days <= 730:
        raise BadField("days", "A key lives 1 to 730 days.")
    plain = new_key()
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            name=name,
            digest=digest(plain),
            scopes=sorted(set(scopes)),
            expires_at=timezone.now() + timedelta(days=days),
        )
        record(Act.KEY_MADE, about=token, of=user.pk, scopes=token.scopes)
    return token, plain


def revoke_token(*, token: ApiToken) -> None:
    """End a key's life now. Safe to repeat."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
            record(Act.KEY_REVOKED, about=token, of=token.user_id)
