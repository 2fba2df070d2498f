"""System checks of single sign-on."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from cataract.core.checks import SETTINGS
from cataract.roles import ROLES


@register(SETTINGS)
def sign_on_is_configured_completely(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """With a provider, its client is named, it is reached over TLS, and its groups give roles that there are."""
    if not settings.OIDC_ISSUER:
        return []
    problems: list[CheckMessage] = [
        Error(f"{name} is empty, but OIDC_ISSUER is set.", hint=f"Set {name}.", id="cataract.E006")
        for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ROLES")
        if not getattr(settings, name)
    ]
    if unknown := sorted(set(settings.OIDC_ROLES.values()) - set(ROLES)):
        hint = f"The roles are {', '.join(sorted(ROLES))}."
        problems.append(Error(f"OIDC_ROLES names no role: {', '.join(unknown)}.", hint=hint, id="cataract.E006"))
    if settings.PRODUCTION and not settings.OIDC_ISSUER.startswith("https://"):
        problems.append(Error("OIDC_ISSUER must start with https://.", id="cataract.E006"))
    return problems
