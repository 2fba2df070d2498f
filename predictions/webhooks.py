"""Telling other systems what happened: rows written with the event itself, sent and sent again by a worker.

A message names things and says nothing of anybody's health: the receiver fetches the result with its own key.
"""

import hashlib
import hmac
import http.client
import json
import logging
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from predictions import outgoing
from predictions.errors import BadField
from predictions.models import Prediction, WebhookDelivery, WebhookEndpoint

log = logging.getLogger(__name__)

SIGNATURE = "Cataract-Signature"
# After these pauses a message is sent again; then it has FAILED, until somebody sends it anew.
PAUSES = tuple(timedelta(seconds=s) for s in (10, 60, 300, 1800, 7200, 21600, 43200))
_LEASE = timedelta(seconds=60)
_SEND_SECONDS = 20.0
_AT_ONCE = 8  # endpoints that are called at the same time
_KEPT = timedelta(days=90)  # what arrived is remembered so long
_MAX_ENDPOINTS = 10


def add_endpoint(*, user: User, url: str, events: list[str]) -> WebhookEndpoint:
    """A new endpoint of `user` with a fresh secret. Raises BadField for an address or event that is not accepted."""
    check_address(url)
    if not events or not set(events) <= set(WebhookEndpoint.Event.values):
        raise BadField("events", f"Choose at least one of {', '.join(WebhookEndpoint.Event.values)}.")
    if user.webhook_endpoints.count() >= _MAX_ENDPOINTS:
        raise BadField("url", f"You have {_MAX_ENDPOINTS} endpoints already. Delete one first.")
    found: WebhookEndpoint = WebhookEndpoint.objects.create(
        user=user, url=url, events=sorted(set(events)), secret=new_secret()
    )
    return found


def check_address(url: str) -> None:
    """Raise BadField when `url` is refused by its text; where its name leads is looked at whenever it is called."""
    try:
        outgoing.check_url(url)
    except outgoing.AddressRefused as error:
        raise BadField("url", str(error)) from None


def new_secret() -> str:
    """A secret with 256 bits of randomness."""
    return secrets.token_urlsafe(32)


def record(event: str, data: dict[str, Any], *, about: Prediction | None = None) -> int:
    """Write one message for each endpoint that wants `event` and may know; return how many.

    Call it inside the transaction of the event itself. `about`: only who may see its photo is told.
    """
    endpoints = [
        endpoint
        for endpoint in WebhookEndpoint.objects.filter(active=True, user__is_active=True).select_related("user")
        if event in endpoint.events and _may_know(endpoint.user, about)
    ]
    WebhookDelivery.objects.bulk_create(
        [WebhookDelivery(endpoint=endpoint, event=event, payload=data) for endpoint in endpoints]
    )
    return len(endpoints)


def record_prediction(prediction: Prediction, status: str) -> int:
    """Say that a prediction is finished: `status` is done or failed."""
    data = {
        "prediction": str(prediction.pk),
        "status": status,
        "address": f"/api/v1/predictions/{prediction.pk}",
    }
    return record(WebhookEndpoint.Event.PREDICTION_FINISHED, data, about=prediction)


def record_case(prediction: Prediction) -> int:
    """Say that people have agreed on the photo of a prediction."""
    data = {"prediction": str(prediction.pk), "address": f"/api/v1/predictions/{prediction.pk}"}
    return record(WebhookEndpoint.Event.CASE_RESOLVED, data, about=prediction)


def send_due() -> int:
    """Send the messages that are due, for some seconds; return how many arrived.

    Each endpoint has a thread of its own meanwhile: who is slow or silent delays nobody else.
    """
    WebhookDelivery.objects.in_status(WebhookDelivery.Status.DELIVERED).filter(created_at__lt=Now() - _KEPT).delete()
    deadline = time.monotonic() + _SEND_SECONDS
    waiting_longest = _due().values("endpoint").annotate(since=Min("next_at")).order_by("since")
    endpoints = [row["endpoint"] for row in waiting_longest[:500]]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhooks") as pool:
        return sum(pool.map(lambda endpoint: _send_to(endpoint, deadline), endpoints))


def _send_to(endpoint_id: UUID, deadline: float) -> int:
    """How many messages arrived at one endpoint, until the first that does not."""
    arrived = 0
    try:
        for delivery in _due().filter(endpoint=endpoint_id).select_related("endpoint").order_by("next_at")[:100]:
            if time.monotonic() > deadline or not send(delivery):
                break
            arrived += 1
    finally:
        connection.close()
    return arrived


def _due() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(status=WebhookDelivery.Status.WAITING, next_at__lte=Now())


def send(delivery: WebhookDelivery) -> bool:
    """Send one WAITING message, if nobody else does; return whether it arrived. A failure is tried again later."""
    waiting = WebhookDelivery.objects.filter(pk=delivery.pk, status=WebhookDelivery.Status.WAITING)
    free = waiting.filter(attempts=delivery.attempts).filter(Q(next_at__lte=Now()))
    if not free.update(attempts=F("attempts") + 1, next_at=Now() + _LEASE):
        return False
    attempt = delivery.attempts + 1
    mine = waiting.filter(attempts=attempt)
    status, error = _post(delivery)
    if not error:
        return bool(mine.move(WebhookDelivery.Status.DELIVERED, delivered_at=Now(), response_status=status, error=""))
    log.info("Webhook %s: attempt %d failed: %s", delivery.pk, attempt, error)
    if attempt > len(PAUSES) or not delivery.endpoint.active:
        mine.move(WebhookDelivery.Status.FAILED, response_status=status, error=error)
    else:
        mine.update(next_at=Now() + PAUSES[attempt - 1], response_status=status, error=error)
    return False


def redeliver(*, delivery: WebhookDelivery) -> bool:
    """Send a message anew that arrived or failed; return whether it was one."""
    return bool(
        WebhookDelivery.objects.filter(pk=delivery.pk).move(
            WebhookDelivery.Status.WAITING, attempts=0, next_at=timezone.now(), error=""
        )
    )


def sign(secret: str, moment: int, body: bytes) -> str:
    """The signature header: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _post(delivery: WebhookDelivery) -> tuple[int | None, str]:
    """(status of the answer, what went wrong or nothing)."""
    message = {
        "id": str(delivery.pk),
        "event": delivery.event,
        "created_at": delivery.created_at.isoformat(),
        "data": delivery.payload,
    }
    body = json.dumps(message, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "cataract-webhooks/1",
        "Cataract-Event": delivery.event,
        "Cataract-Delivery": str(delivery.pk),
        SIGNATURE: sign(delivery.endpoint.secret, int(time.time()), body),
    }
    try:
        status = outgoing.post(delivery.endpoint.url, body, headers)
    except outgoing.AddressRefused as error:
        return None, str(error)
    except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
        return None, f"No answer: {type(error).__name__} {error}"[:500]
    return status, "" if 200 <= status < 300 else f"The receiver answered {status}."


def _may_know(user: User, about: Prediction | None) -> bool:
    return about is None or about.image.uploaded_by_id == user.pk or user.has_perm("predictions.view_every_eyeimage")
