"""Add webhook endpoints, record messages for them, and redeliver messages.

A message names its rows, and a final result holds its answer; it never names a patient. The receiver fetches everything
else with its own API key.
"""

import logging
import secrets
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from cataract.core.errors import BadField
from predictions.webhooks import outgoing
from predictions.webhooks.models import WebhookDelivery, WebhookEndpoint

log = logging.getLogger(__name__)
_MAX_ENDPOINTS = 10


def add_endpoint(*, user: User, url: str, events: list[str]) -> WebhookEndpoint:
    """A new endpoint of `user` with a fresh secret. Raises BadField for an address or event that is not accepted."""
    check_address(url)
    if not events or not set(events) <= set(WebhookEndpoint.Event.values):
        raise BadField("events", f"Choose at least one of {', '.join(WebhookEndpoint.Event.values)}.")
    if user.webhook_endpoints.count() >= _MAX_ENDPOINTS:
        raise BadField("url", f"You have {_MAX_ENDPOINTS} endpoints already. Delete one first.")
    return WebhookEndpoint.objects.create(user=user, url=url, events=sorted(set(events)), secret=new_secret())


def check_address(url: str) -> None:
    """Raise BadField when the text of `url` is refused. Each delivery checks the addresses behind its host name."""
    try:
        outgoing.check_url(url)
    except outgoing.AddressRefused as error:
        raise BadField("url", str(error)) from None


def new_secret() -> str:
    """A random text of 256 bits, the key of the endpoint's signatures."""
    return secrets.token_urlsafe(32)


def record(event: str, data: dict[str, Any], *, owner_id: int | None = None, is_private: bool = False) -> int:
    """Write one message for each endpoint that subscribes to `event` and whose owner may see it; return how many.

    Call it inside the transaction of the event itself. `is_private`: only the user `owner_id` and users who may see
    every photo get a message.
    """
    endpoints = [
        endpoint
        for endpoint in WebhookEndpoint.objects.filter(active=True, user__is_active=True).select_related("user")
        if event in endpoint.events and (not is_private or _may_know(endpoint.user, owner_id))
    ]
    WebhookDelivery.objects.bulk_create(
        [WebhookDelivery(endpoint=endpoint, event=event, payload=data) for endpoint in endpoints]
    )
    return len(endpoints)


def redeliver(*, delivery: WebhookDelivery) -> bool:
    """Queue a delivered or failed message again; return False when it is already waiting."""
    return bool(
        WebhookDelivery.objects.filter(pk=delivery.pk).move(
            WebhookDelivery.Status.WAITING, attempts=0, next_at=timezone.now(), error=""
        )
    )


def _may_know(user: User, owner_id: int | None) -> bool:
    return owner_id == user.pk or user.has_perm("predictions.view_every_eyeimage")
