"""Telling other systems what happened: rows written with the event itself, sent and sent again by a worker.

A message names things and says nothing of anybody's health: the receiver fetches the result with its own key.
"""

import hashlib
import hmac
import http.client
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Min
from django.db.models.functions import Now

from predictions.webhooks import outgoing
from predictions.webhooks.models import WebhookDelivery

log = logging.getLogger(__name__)

SIGNATURE = "Cataract-Signature"
# After these pauses a message is sent again; then it has FAILED, until somebody sends it anew.
PAUSES = tuple(timedelta(seconds=s) for s in (10, 60, 300, 1800, 7200, 21600, 43200))
_LEASE = timedelta(seconds=60)
_SEND_SECONDS = 20.0
_AT_ONCE = 8  # endpoints that are called at the same time
_KEPT = timedelta(days=90)  # what arrived is remembered so long


def send_due() -> int:
    """Send the messages that are due, for some seconds; return how many arrived.

    Each endpoint has a thread of its own meanwhile: who is slow or silent delays nobody else.
    """
    WebhookDelivery.objects.in_status(WebhookDelivery.Status.DELIVERED).filter(created_at__lt=Now() - _KEPT).delete()
    deadline = time.monotonic() + _SEND_SECONDS
    waiting_since = WebhookDelivery.objects.free().values("endpoint").annotate(since=Min("next_at")).order_by("since")
    endpoints = [row["endpoint"] for row in waiting_since[:500]]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhooks") as pool:
        return sum(pool.map(lambda endpoint: _send_to(endpoint, deadline), endpoints))


def _send_to(endpoint_id: UUID, deadline: float) -> int:
    """How many messages arrived at one endpoint, until the first that does not."""
    arrived = 0
    try:
        due = WebhookDelivery.objects.free().filter(endpoint=endpoint_id)
        for delivery in due.select_related("endpoint").order_by("next_at")[:100]:
            if time.monotonic() > deadline or not send(delivery):
                break
            arrived += 1
    finally:
        connection.close()
    return arrived


def send(delivery: WebhookDelivery) -> bool:
    """Send one WAITING message, if nobody else does; return whether it arrived. A failure is tried again later."""
    attempt = WebhookDelivery.objects.claim(delivery, _LEASE)
    if attempt is None:
        return False
    held = WebhookDelivery.objects.held(delivery, attempt)
    status, error = _post(delivery)
    if not error:
        return bool(held.move(WebhookDelivery.Status.DELIVERED, delivered_at=Now(), response_status=status, error=""))
    log.info("Webhook %s: attempt %d failed: %s", delivery.pk, attempt, error)
    if attempt > len(PAUSES) or not delivery.endpoint.active:
        held.move(WebhookDelivery.Status.FAILED, response_status=status, error=error)
    else:
        held.give_back(after=PAUSES[attempt - 1], response_status=status, error=error)
    return False


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
