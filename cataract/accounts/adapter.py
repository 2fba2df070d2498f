"""How django-allauth behaves in this product."""

import ipaddress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from cataract.accounts import attempts, services, single_sign_on
from cataract.core.http.addresses import client_address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by admins, passwords are set by the services, and failed attempts make others wait."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuse an attempt that comes too early, before its password costs anything."""
        try:
            attempts.begin(request, credentials.get("username", ""))
        except attempts.MustWait as refusal:
            page = render(request, "account/wait.html", {"wait": _in_words(refusal.seconds)}, status=429)
            page["Retry-After"] = str(refusal.seconds)
            raise ImmediateHttpResponse(page) from None

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        user: User | None = super().authenticate(request, **credentials)
        if user is not None:
            attempts.succeeded(request, credentials.get("username", ""), user)
        return user

    def pre_login(self, request: HttpRequest, user: User, **values: Any) -> HttpResponse | None:
        """People of the single sign-on come in through their provider only: what it says about them holds."""
        if not hasattr(request, "signed_on") and not user.is_superuser and single_sign_on.is_managed(user):
            text = f"You sign in through {settings.OIDC_NAME}, not by a password or passkey of this system."
            return render(request, "account/sign_on_refused.html", {"text": text}, status=403)
        response: HttpResponse | None = super().pre_login(request, user, **values)
        return response

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if single_sign_on.is_managed(user):
            name, url = settings.OIDC_NAME, reverse("account_confirm_by_sign_on")
            methods.append({"id": "sign_on", "description": f"Confirm through {name}", "url": url})
        return methods

    def post_login(self, request: HttpRequest, user: User, **values: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **values)
        attempts.remember_device(request, response, user)
        return response

    def set_password(self, user: User, password: str) -> None:
        services.change_password(user=user, password=password)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("home")

    def get_client_ip(self, request: HttpRequest) -> str:
        """The caller's address, or 0.0.0.0 where a proxy wrote something else."""
        try:
            return str(ipaddress.ip_address(client_address(request) or ""))
        except ValueError:
            return "0.0.0.0"


def _in_words(seconds: int) -> str:
    minutes = -(-seconds // 60)
    if seconds < 60:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
