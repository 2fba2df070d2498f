"""Deliver webhook messages: signed, retried after growing pauses, one thread for each endpoint.

A message names rows and holds no health data: the receiver fetches the result with its own API key. Signatures follow
Standard Webhooks (https://www.standardwebhooks.com).
"""

import http.client
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Min
from django.db.models.functions import Now
from standardwebhooks import Webhook

from predictions.webhooks import outgoing
from predictions.webhooks.models import WebhookDelivery

log = logging.getLogger(__name__)

# A message is sent again after each of these pauses; then it has FAILED until it is redelivered.
PAUSES = tuple(timedelta(seconds=s) for s in (10, 60, 300, 1800, 7200, 21600, 43200))
_LEASE = timedelta(seconds=60)
_SEND_SECONDS = 20.0
_AT_ONCE = 8  # endpoints called in parallel
_KEPT = timedelta(days=90)  # how long a delivered message stays on record


def send_due() -> int:
    """Send the messages that are due, for at most `_SEND_SECONDS`; return how many arrived.

    Each endpoint has its own thread: a slow or silent receiver does not delay the others.
    """
    WebhookDelivery.objects.in_status(WebhookDelivery.Status.DELIVERED).filter(created_at__lt=Now() - _KEPT).delete()
    deadline = time.monotonic() + _SEND_SECONDS
    waiting_since = WebhookDelivery.objects.free().values("endpoint").annotate(since=Min("next_at")).order_by("since")
    endpoints = [row["endpoint"] for row in waiting_since[:500]]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhooks") as pool:
        return sum(pool.map(lambda endpoint: _send_to(endpoint, deadline), endpoints))


def _send_to(endpoint_id: UUID, deadline: float) -> int:
    """Send to one endpoint until a message fails; return how many arrived."""
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
    """Send one WAITING message unless another worker holds it; return whether it arrived. Failures are retried."""
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


def signed_headers(secret: str, message_id: str, body: str, *, at: datetime | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks for `body`, sent now or at a UTC time. `secret` starts with whsec_."""
    at = at or datetime.now(tz=UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body),
    }


def _post(delivery: WebhookDelivery) -> tuple[int | None, str]:
    """(HTTP status or None, error message or an empty string)."""
    message = {
        "id": str(delivery.pk),
        "event": delivery.event,
        "created_at": delivery.created_at.isoformat(),
        "data": delivery.payload,
    }
    body = json.dumps(message, separators=(",", ":"))
    headers = {"Content-Type": "application/json", "User-Agent": "cataract-webhooks/1"}
    headers |= signed_headers(delivery.endpoint.signing_secret, str(delivery.pk), body)
    try:
        status = outgoing.post(delivery.endpoint.url, body.encode(), headers)
    except outgoing.AddressRefused as error:
        return None, str(error)
    except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
        return None, f"No answer: {type(error).__name__} {error}"[:500]
    return status, "" if 200 <= status < 300 else f"The receiver answered {status}."
