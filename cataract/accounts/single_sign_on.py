"""Single sign-on by OpenID Connect: who may come in, which roles their groups give, and how their access ends.

The protocol is django-allauth's (authorization code with PKCE). What the provider says decides at each sign-in.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.shortcuts import render
from django.utils import timezone

from cataract.accounts import events, services
from cataract.core.http.users import user_of

PROVIDER = "sso"
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


class SignOnRefused(Exception):
    """The provider knows this person, and this system does not let them in; the text says why."""


def is_on() -> bool:
    return bool(settings.OIDC_ISSUER)


def is_managed(user: User) -> bool:
    """Whether `user` signs in through the provider, and so neither by password nor by passkey."""
    return is_on() and bool(SocialAccount.objects.filter(user=user).exists())


def roles_of(claims: Mapping[str, Any]) -> set[str]:
    """The roles that the groups in these claims give, by OIDC_ROLES."""
    groups = claims.get(settings.OIDC_GROUPS_CLAIM) or []
    named = [groups] if isinstance(groups, str) else groups
    return {settings.OIDC_ROLES[group] for group in named if group in settings.OIDC_ROLES}


def has_second_factor(claims: Mapping[str, Any]) -> bool:
    """Whether the provider says (`amr`, `acr`) that it has asked for a second factor."""
    methods = claims.get("amr") or []
    said = {claims.get("acr"), *([methods] if isinstance(methods, str) else methods)}
    return not said.isdisjoint(settings.OIDC_SECOND_FACTOR)


def is_recent(claims: Mapping[str, Any]) -> bool:
    """Whether the person has shown lately who they are: the provider says when, if it was asked."""
    at = claims.get("auth_time")
    return isinstance(at, int | float) and time.time() - at < settings.STEP_UP_MINUTES * 60


def admit(*, user: User | None, claims: Mapping[str, Any]) -> User:
    """The account of whom the provider names, made if there is none, with the roles of their groups and no others.

    Raises SignOnRefused. Somebody whose groups give no role any more loses the account, its sessions and its keys.
    """
    roles = roles_of(claims)
    if not roles:
        if user is not None and user.is_active:
            services.close_account(user=user, by=None)
            raise SignOnRefused("None of your groups has a role here any more. Your access has ended.")
        raise SignOnRefused("None of your groups has a role here.")
    user = user or _make(claims)
    if user.is_active:  # allauth tells the others that their account is closed
        services.set_roles(user=user, roles=Group.objects.filter(name__in=roles), by=None)
    return user


def _make(claims: Mapping[str, Any]) -> User:
    user = User(
        username=str(claims.get(settings.OIDC_USERNAME_CLAIM) or ""),
        first_name=str(claims.get("given_name") or "")[:150],
        last_name=str(claims.get("family_name") or "")[:150],
    )
    user.set_unusable_password()
    try:
        user.full_clean()
    except ValidationError:
        # Never joined to an account by its name: whoever could choose that name at the provider would take it over.
        raise SignOnRefused("Your name at the provider is missing, or belongs to another account here.") from None
    user.save()
    events.record("account_made_by_sign_on", user=user)
    return user


class SignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """What the provider said about a person, before they are signed in."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False  # `pre_social_login` makes the accounts

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        said = sociallogin.account.extra_data
        claims = {**(said.get("userinfo") or {}), **(said.get("id_token") or {})}
        known = sociallogin.user if sociallogin.is_existing else None
        sociallogin.account.extra_data = {}  # what the provider says is used, not kept
        if user_of(request).is_authenticated and user_of(request) != known:
            self._refuse(request, "Somebody is signed in here. Log out first.")
        try:
            user = admit(user=known, claims=claims)
        except SignOnRefused as refusal:
            self._refuse(request, str(refusal))
        if known is None:
            sociallogin.connect(request, user)
        else:
            sociallogin.account.save()  # also dates the sign-in
        request.signed_on = claims  # type: ignore[attr-defined]  # `receivers.start_session` reads it

    def _refuse(self, request: HttpRequest, text: str) -> None:
        raise ImmediateHttpResponse(render(request, "account/sign_on_refused.html", {"text": text}, status=403))

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Nobody is told by e-mail that they have signed in."""


def end_by_provider(*, request: HttpRequest, logout_token: str) -> bool:
    """End every session of whom a logout token names (OpenID Connect Back-Channel Logout 1.0).

    False for a token that is not this provider's, or names nobody here.
    """
    try:
        config = OpenIDConnectOAuth2Adapter(request, PROVIDER).openid_config
        claims = jwtkit.verify_and_decode(
            credential=logout_token,
            keys_url=config["jwks_uri"],
            issuer=config["issuer"],
            audience=settings.OIDC_CLIENT_ID,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
    except (OAuth2Error, KeyError, ValueError, OSError):
        return False
    if _LOGOUT not in (claims.get("events") or {}) or "nonce" in claims:
        return False
    account = SocialAccount.objects.filter(uid=str(claims.get("sub") or "")).select_related("user").first()
    if account is None:
        return False
    services.end_sessions(user=account.user)
    return True


def end_unseen() -> int:
    """End sessions and keys of people whom the provider has not vouched for in OIDC_UNSEEN_DAYS; returns how many."""
    if not is_on():
        return 0
    since = timezone.now() - timedelta(days=settings.OIDC_UNSEEN_DAYS)
    ended = 0
    for account in SocialAccount.objects.filter(last_login__lt=since).select_related("user"):
        sessions = services.end_sessions(user=account.user)
        ended += bool(services.revoke_keys(user=account.user) or sessions)
    return ended
