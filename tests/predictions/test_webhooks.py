"""Webhook messages: stored with the event, signed, retried until they arrive, never sent into our own network."""

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from cataract.core import tokens
from clients.cataract_client import verify_webhook
from predictions.answering import worker
from predictions.answering.models import Prediction
from predictions.releases import services as releases_services
from predictions.releases import store
from predictions.webhooks import outgoing
from predictions.webhooks import services as webhooks_services
from predictions.webhooks import worker as webhooks
from predictions.webhooks.models import WebhookDelivery, WebhookEndpoint
from tests.factories import UserFactory, jpeg_bytes
from tests.releases import make_tiny_release

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/webhooks"


class Receiver:
    """Another system: keeps what arrives and answers `status`."""

    def __init__(self) -> None:
        self.status, self.got = 204, []  # type: tuple[int, list[tuple[bytes, dict[str, str]]]]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((body, dict(self.headers)))
                self.send_response(outer.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def caller(role: str = "integrator") -> Client:
    _, key = tokens.create_token(user=UserFactory.create(roles=[role]), name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(client: Client, seed: int = 1) -> dict[str, Any]:
    photo = SimpleUploadedFile("a.jpg", jpeg_bytes(seed))
    found: dict[str, Any] = client.post("/api/v1/predictions", {"photo": photo, "eye": "OD"}).json()
    return found


def add(client: Client, url: str, *events: str) -> Any:
    body = {"url": url, "events": list(events or ["prediction.finished"])}
    return client.post(URL, body, content_type="application/json")


def test_a_finished_prediction_is_told_signed_and_names_no_patient(receiver: Receiver, champion: Any) -> None:
    client = caller()
    secret = add(client, receiver.url).json()["secret"]
    assert "secret" not in client.get(URL).json()["results"][0]
    result = send(client)
    assert webhooks.send_due() == 1
    ((body, headers),) = receiver.got
    message = verify_webhook(secret, body, headers)
    assert message == Webhook(secret).verify(body, headers), "a receiver verifies with the library"
    assert headers["webhook-id"] == message["id"]
    assert message["event"] == "prediction.finished" and message["data"]["prediction"] == result["id"]
    assert client.get(message["data"]["address"]).json()["prediction"] == result["prediction"]
    assert message["data"]["final_result"] == result["final_result"], "the answer is inside"
    assert b"P-1" not in body
    with pytest.raises(ValueError, match="wrong"):
        verify_webhook(secret, body + b" ", headers)
    with pytest.raises(WebhookVerificationError, match="matching"):
        Webhook(secret).verify(body + b" ", headers)
    before = datetime.now(tz=UTC) - timedelta(seconds=400)
    old = webhooks.signed_headers(secret, message["id"], body.decode(), at=before)
    with pytest.raises(ValueError, match="old"):
        verify_webhook(secret, body, old)
    with pytest.raises(WebhookVerificationError, match="old"):
        Webhook(secret).verify(body, old)
    (delivery,) = client.get("/api/v1/webhook-deliveries").json()["results"]
    assert delivery["status"] == "delivered" and delivery["response_status"] == 204
    assert webhooks.send_due() == 0


def test_a_secret_from_before_the_standard_form_still_verifies(receiver: Receiver) -> None:
    """Its characters are the key: a receiver keeps the old secret with our client, or re-encodes it for a library."""
    add(caller(), receiver.url, "release.promoted")
    old = "Zm9vYmFy-_an-old-secret-of-43-characters-xx"
    WebhookEndpoint.objects.update(secret=old)
    webhooks_services.record("release.promoted", {"release": "x"})
    assert webhooks.send_due() == 1
    ((body, headers),) = receiver.got
    assert verify_webhook(old, body, headers)["data"] == {"release": "x"}
    library = Webhook("whsec_" + base64.b64encode(old.encode()).decode())
    assert library.verify(body, headers)["data"] == {"release": "x"}


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_a_header_is_refused(missing: str) -> None:
    headers = webhooks.signed_headers("whsec_c2VjcmV0", "1", "{}")
    assert verify_webhook("whsec_c2VjcmV0", b"{}", headers) == {}
    with pytest.raises(ValueError, match="wrong"):
        verify_webhook("whsec_c2VjcmV0", b"{}", {name: text for name, text in headers.items() if name != missing})


def test_a_photo_that_failed_for_good_is_told_too(
    receiver: Receiver, champion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = caller()
    add(client, receiver.url)
    monkeypatch.setattr("predictions.answering.inference.answer_now", lambda *args: False)
    monkeypatch.setattr("predictions.answering.tasks.predict.delay", lambda *args: None)
    row = send(client)
    Prediction.objects.update(attempts=3, lease_until=timezone.now() - timedelta(seconds=1))
    worker.sweep()
    assert WebhookDelivery.objects.get().payload["status"] == "failed"
    assert client.get(f"/api/v1/predictions/{row['id']}").json()["status"] == "failed"


def test_only_who_may_see_the_photo_is_told(receiver: Receiver, champion: Any) -> None:
    sender, stranger, admin = caller(), caller(), caller("admin")
    for client in (stranger, admin):
        add(client, receiver.url)
    send(sender)
    assert list(WebhookDelivery.objects.values_list("endpoint__user__groups__name", flat=True)) == ["admin"]
    assert not stranger.get("/api/v1/webhook-deliveries").json()["results"]


def test_a_failure_is_tried_again_and_in_the_end_by_hand(receiver: Receiver, champion: Any) -> None:
    client = caller()
    add(client, receiver.url)
    send(client)
    receiver.status = 302
    for attempt in range(1, len(webhooks.PAUSES) + 2):
        assert webhooks.send_due() == 0
        row = WebhookDelivery.objects.get()
        assert row.attempts == attempt and row.response_status == 302 and "302" in row.error
        assert webhooks.send_due() == 0 and len(receiver.got) == attempt  # it is not due yet
        WebhookDelivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert row.status == "failed"
    receiver.status = 200
    again = client.post(f"/api/v1/webhook-deliveries/{row.pk}/redeliver")
    assert again.status_code == 202 and again.json()["status"] == "waiting"
    assert webhooks.send_due() == 1


class Dripping:
    """A receiver that never stops sending headers: each single read is short."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self.called, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        caller, _ = self._socket.accept()
        self.called.set()
        with caller, contextlib.suppress(OSError):
            caller.sendall(b"HTTP/1.1 200 OK\r\n")
            while not self._over.wait(0.05):
                caller.sendall(b"X: y\r\n")

    def stop(self) -> None:
        self._over.set()
        self._socket.close()


def test_a_receiver_that_drips_is_given_up_and_delays_nobody(
    receiver: Receiver, champion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "CALL_SECONDS", 2.0)
    client, dripping = caller(), Dripping()
    for url in (dripping.url, receiver.url):
        add(client, url)
    send(client)
    started = time.monotonic()
    sending = threading.Thread(target=webhooks.send_due)
    sending.start()
    assert dripping.called.wait(20)
    while not receiver.got:
        assert time.monotonic() - started < 20, "the message to the other endpoint waits"
        time.sleep(0.02)
    assert sending.is_alive(), "the dripping receiver was given up too early to prove anything"
    sending.join(20)
    dripping.stop()
    assert not sending.is_alive()
    row = WebhookDelivery.objects.get(endpoint__url=dripping.url)
    assert (row.status, row.attempts) == ("waiting", 1) and "longer than 2 s" in row.error


def test_a_promotion_is_told(receiver: Receiver, champion: Any, tmp_path: Any) -> None:
    add(caller(), receiver.url, "release.promoted")
    release = store.register_release(folder=make_tiny_release(tmp_path / "other", seed=1, name="other"))
    releases_services.make_champion(release=release, user=None, reason="A better one.")
    payload = WebhookDelivery.objects.get().payload
    assert payload == {"release": release.pk, "previous": champion.pk, "is_rollback": False}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://user:secret@example.com/",
        "https:///x",
        "https://[::1",
        "https://example.com:99999/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://metadata.google.internal/",
    ],
)
def test_strange_addresses_are_refused_at_once(url: str) -> None:
    answer = add(caller(), url)
    assert answer.status_code == 422 and answer.json()["field"] == "url"
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[::127.0.0.1]",
        "0.0.0.0",
        "2130706433",
    ],
)
def test_nothing_inside_our_network_is_called(host: str) -> None:
    with pytest.raises(outgoing.AddressRefused):
        outgoing.post(f"https://{host}/", b"{}", {})


def test_a_public_name_that_leads_inside_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when only one of its addresses does."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    with pytest.raises(outgoing.AddressRefused, match="inside this network"):
        outgoing.post("https://clinic.example/hook", b"{}", {})


def test_what_is_added_can_be_deleted_by_its_owner(receiver: Receiver) -> None:
    client = caller()
    address = f"{URL}/{add(client, receiver.url).json()['id']}"
    assert caller().delete(address).status_code == 404 and caller("screener").delete(address).status_code == 403
    assert client.delete(address).status_code == 204 and not WebhookEndpoint.objects.exists()


def test_an_admin_adds_endpoints_and_sends_again(client: Client, receiver: Receiver, champion: Any) -> None:
    admin = UserFactory.create(roles=["admin"])
    client.force_login(admin)
    form = {"user": admin.pk, "url": receiver.url, "events": ["release.promoted"], "active": "on"}
    page = client.post("/admin/predictions/webhookendpoint/add/", form, follow=True)
    assert "not shown again" in page.content.decode() and WebhookEndpoint.objects.get().secret
    webhooks_services.record("release.promoted", {"release": "x"})
    WebhookDelivery.objects.all().move("failed", error="x")
    chosen = {"action": "redeliver", "_selected_action": [str(WebhookDelivery.objects.get().pk)]}
    client.post("/admin/predictions/webhookdelivery/", chosen, follow=True)
    assert WebhookDelivery.objects.get().status == "waiting" and webhooks.send_due() == 1
