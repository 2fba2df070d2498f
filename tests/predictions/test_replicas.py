"""INFERENCE=ray without Ray: what web processes ask, over real HTTP, and what they do when nobody answers.

The server here does what a replica does (`answers.answer_all`); tests/faults/test_ray.py has the same with Ray itself.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.labels import Decision, Mode, Reason, Route
from cataract.ml.synthetic import render_eye
from cataract.ops import doctor
from predictions.answering import services, worker
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.releases import services as releases
from predictions.releases.store import register_release
from predictions.replicas import answers, client, wire
from tests.factories import jpeg_bytes
from tests.releases import make_tiny_release
from tests.services import free_port

pytestmark = pytest.mark.django_db(transaction=True)
Reply = Callable[[str, bytes], tuple[int, bytes]]


class Replies:
    """A server that answers as replicas do, or as `reply` says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reply: Reply = lambda query, body: answers.answer_all([(query, body)])[0]


@pytest.fixture
def replies(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replies]:
    found = Replies()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append(self.path)
            status, data = found.reply(self.path.partition("?")[2], body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/-/healthz" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.INFERENCE, settings.RAY_URL = "ray", f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(client, "_breaker", client._Breaker())
    yield found
    server.shutdown()
    server.server_close()


def send(seed: int, **more: Any) -> Prediction:
    return services.upload_photo(data=jpeg_bytes(seed), user=None, source="api", **more)


def test_a_replica_gives_the_answer_of_the_web_process(replies: Replies, champion: Any, settings: Any) -> None:
    there = [send(seed) for seed in range(4)]
    assert len(replies.asked) == 4 and all(row.status == "done" and row.attempts == 1 for row in there)
    settings.INFERENCE = "web"
    for seed, row in enumerate(there):
        here = send(seed, send_anyway=True)
        assert (here.decision, here.reasons, here.route) == (row.decision, row.reasons, row.route)
        for name in ("probability", "fast_score", "accurate_score"):
            assert getattr(here, name) == pytest.approx(getattr(row, name), abs=1e-6)
        assert row.image.embeddings.get().encoder == champion.encoder


def test_without_replicas_the_photo_is_stored_and_a_worker_answers(champion: Any, settings: Any) -> None:
    settings.INFERENCE, settings.RAY_URL = "ray", f"http://127.0.0.1:{free_port()}"
    settings.INFERENCE_WAIT_SECONDS = 0.0
    row = send(1)
    assert (row.status, row.attempts) == ("queued", 1) and "replica" in row.error
    assert worker.run_prediction(row.pk)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.release_id) == ("done", 2, champion.pk)


def test_replicas_that_hang_hold_up_one_upload_not_all(replies: Replies, champion: Any, settings: Any) -> None:
    settings.REPLICA_WAIT_SECONDS, settings.INFERENCE_WAIT_SECONDS = 0.2, 0.0

    def hang(query: str, body: bytes) -> tuple[int, bytes]:
        time.sleep(1)
        return 200, b""

    replies.reply = hang
    assert {send(seed).status for seed in range(4)} == {"queued"}
    assert len(replies.asked) == 1


def test_after_a_pause_one_upload_asks_again(replies: Replies, champion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("predictions.replicas.client.time.monotonic", lambda: now[0])
    breaker = client._Breaker()
    breaker.open()
    assert not breaker.may_ask()
    now[0] += client.PAUSE_SECONDS + 0.1
    assert [breaker.may_ask() for _ in range(3)] == [True, False, False]
    breaker.close()
    assert breaker.may_ask() and breaker.may_ask()


def test_the_photo_of_a_replica_that_dies_is_asked_of_another(replies: Replies, champion: Any) -> None:
    answer, statuses = replies.reply, [500, 503]
    replies.reply = lambda query, body: (statuses.pop(), b"died") if statuses else answer(query, body)
    assert send(1).status == "done" and len(replies.asked) == 3


def test_a_damaged_release_is_refused_and_stops_nobody_else(replies: Replies, champion: Any, settings: Any) -> None:
    settings.INFERENCE_WAIT_SECONDS = 0.0
    (Path(settings.RELEASE_DIR) / champion.pk / "fast.txt").write_text("damaged")
    assert {send(seed).status for seed in range(2)} == {"queued"}
    assert len(replies.asked) == 2


def test_releases_answer_side_by_side(replies: Replies, champion: Any, tmp_path: Path) -> None:
    other = register_release(folder=make_tiny_release(tmp_path / "other", seed=7, name="other"))
    first = send(1)
    releases.make_champion(release=other, user=None, reason="test")
    assert [first.release_id, send(2).release_id] == [champion.pk, other.pk]
    pixels = render_eye(3)
    asked = [wire.Question(each.pk, each.manifest_sha256, Mode.ALWAYS, False, pixels) for each in (champion, other)]
    assert [client.predict(each).release_id for each in asked] == [champion.pk, other.pk]


def test_commands_answer_their_own_photos(replies: Replies, champion: Any) -> None:
    row = services.upload_photo(data=jpeg_bytes(1), user=None, source=EyeImage.Source.COMMAND)
    assert row.status == "done" and not replies.asked


@pytest.mark.parametrize(
    "query", ["", "release=a", "release=a&sha256=b&mode=fast&check_sure=0&height=2&width=x", "height=-1&width=1"]
)
def test_other_requests_are_refused(query: str) -> None:
    assert answers.answer_all([(query, b"\0" * 12)])[0][0] == 400


def test_serve_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "predictions.replicas.deployment", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CommandError, match=r"requirements/ray\.txt"):
        call_command("serve")


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Outcome,
        decision=st.sampled_from(Decision),
        needs_review=st.booleans(),
        reasons=st.lists(st.sampled_from(Reason)).map(tuple),
        probability=numbers,
        fast_score=numbers,
        fast_probability=numbers,
        accurate_score=numbers,
        accurate_probability=numbers,
        route=st.sampled_from(Route),
        gate=st.dictionaries(st.text(), numbers),
        timings=st.dictionaries(st.text(), st.floats(0, 1e6)),
        embedding=st.none()
        | st.lists(st.floats(width=32, allow_nan=False), max_size=9).map(lambda values: np.array(values, np.float32)),
        policy_version=st.text(),
        release_id=st.text(),
        encoder_hash=st.text(),
    )
)
def test_an_outcome_arrives_as_it_was(outcome: Outcome) -> None:
    arrived = vars(wire.unpack(wire.pack(outcome)))
    sent = dict(vars(outcome))
    assert np.array_equal(np.asarray(arrived.pop("embedding")), np.asarray(sent.pop("embedding")))
    assert arrived == sent


@given(st.integers(1, 9), st.integers(1, 9), st.text(max_size=9), st.booleans())
def test_a_question_arrives_as_it_was(height: int, width: int, name: str, check: bool) -> None:
    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    sent = wire.Question(name or "r", "0" * 64, Mode.FAST, check, pixels)
    arrived = wire.read_question(wire.address_of(sent).partition("?")[2], pixels.tobytes())
    assert np.array_equal(arrived.pixels, pixels) and vars(arrived) | {"pixels": 0} == vars(sent) | {"pixels": 0}


def test_one_bad_question_spoils_no_other(champion: Any, tiny_release: Path) -> None:
    pixels = render_eye(1)
    good = wire.Question(champion.pk, champion.manifest_sha256, Mode.CASCADE, False, pixels)
    query = wire.address_of(good).partition("?")[2]
    statuses = [status for status, _ in answers.answer_all([(query, pixels.tobytes()), ("", b""), (query, b"short")])]
    assert statuses == [200, 400, 400]
    expected = Cascade.load(tiny_release).predict([pixels])[0]
    assert wire.unpack(answers.answer_all([(query, pixels.tobytes())])[0][1]).probability == expected.probability


def test_doctor_says_whether_replicas_answer(replies: Replies, settings: Any) -> None:
    assert [finding.level for finding in doctor.check_replicas()] == ["ok"]
    settings.RAY_URL = f"http://127.0.0.1:{free_port()}"
    [finding] = doctor.check_replicas()
    assert finding.level == "error" and "workers answer" in finding.message
    settings.INFERENCE = "web"
    assert not list(doctor.check_replicas())
