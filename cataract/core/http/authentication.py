"""API keys in requests: `Authorization: Bearer cat_...`."""

import contextlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, models
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from cataract.core.compiled import Compiled, Parameter
from cataract.core.models import ApiToken
from cataract.core.tokens import digest

_USE_RECORDED_EVERY = timedelta(minutes=1)
_VALID = Compiled(
    lambda: ApiToken.objects.select_related("user").filter(
        digest=Parameter("digest", models.CharField()),
        expires_at__gt=Parameter("now", models.DateTimeField()),
        revoked_at__isnull=True,
        user__is_active=True,
    )
)


class BearerKey(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes API keys."""

    target_class = "cataract.core.http.authentication.TokenAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A key that an administrator made: `cat_...`."}


class TokenAuthentication(BaseAuthentication):
    """Finds the user of a key. The ApiToken becomes `request.auth`; what it may do is checked by `api.HasScope`."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        scheme, _, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = self._find(key.strip())
        if token is None:
            raise AuthenticationFailed("This key is unknown, expired or revoked.", code="token_invalid")
        self._record_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    @staticmethod
    def _find(key: str) -> ApiToken | None:
        digests = [digest(key), *(digest(key, secret=old) for old in settings.SECRET_KEY_FALLBACKS)]
        found = (token for each in digests for token in _VALID.rows(digest=each, now=timezone.now()))
        return next(found, None)

    @staticmethod
    def _record_use(token: ApiToken) -> None:
        now = timezone.now()
        if token.last_used_at is None or now - token.last_used_at > _USE_RECORDED_EVERY:
            with contextlib.suppress(OperationalError):  # on a full disk, reads still work
                ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
