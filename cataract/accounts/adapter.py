"""How django-allauth behaves in this product."""

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse

from cataract.accounts import services
from cataract.core.http.addresses import client_address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by admins, passwords are set by the services, and axes counts failed attempts."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: object) -> None:
        """Nothing to count here."""

    def set_password(self, user: User, password: str) -> None:
        services.change_password(user=user, password=password)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("home")

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "0.0.0.0"
