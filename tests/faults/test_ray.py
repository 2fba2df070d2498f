"""INFERENCE=ray with a real Ray of two replicas: killed replicas, promotions and a dead Ray lose and double nothing."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.factories import jpeg_bytes
from tests.faults.test_promotions import PREPARE
from tests.faults.test_worker_kill import COUNT_ON_SQLITE
from tests.services import free_port
from tests.system import System, kill_tree

COUNT = f"""
import sqlite3
from django.conf import settings
with sqlite3.connect(settings.DATABASES["default"]["NAME"]) as database:
    database.executescript('''{COUNT_ON_SQLITE}''')
"""
# The largest difference between the stored answers and those of this process, and how many attempts they took.
COMPARE = """
import json
from cataract.ml.photos.images import decode
from predictions.answering.inference import predict_photo
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.releases import serving
worst, attempts = 0.0, []
for row in Prediction.objects.select_related("image", "release"):
    here = predict_photo(serving.load(row.release), row, decode(storage.read(row.image.stored_name)))
    assert (here.decision, here.route) == (row.decision, row.route)
    assert set(here.reasons) <= set(row.reasons) <= {*here.reasons, "audit_sample"}
    pairs = [(getattr(here, name), getattr(row, name)) for name in ("probability", "fast_score", "accurate_score")]
    worst = max([worst, *(abs(a - b) for a, b in pairs if a is not None)])
    attempts.append(row.attempts)
print(json.dumps([worst, attempts]))
"""
PROMOTE = """
from predictions.releases.models import Release
from predictions.releases.services import make_champion
make_champion(release=Release.objects.exclude(status="champion").get(), user=None, reason="under load")
"""
FINISH = """
from predictions.answering import worker
from predictions.answering.models import Prediction
for prediction in Prediction.objects.filter(status="queued"):
    worker.run_prediction(prediction.pk)
"""
# Predictions by status, how often an answer was written, and for how many of them.
ANSWERS = """
import json, collections
from django.db import connection
from predictions.answering.models import Prediction
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*), count(DISTINCT prediction) FROM answers")
    written = cursor.fetchone()
statuses = collections.Counter(Prediction.objects.values_list("status", flat=True))
print(json.dumps([statuses, *written]))
"""


class Installation(System):
    """Web processes that ask Ray, and Ray."""

    def __init__(self, data_dir: Path, migrated: Path) -> None:
        self.port, ray_port = free_port(), free_port()
        super().__init__(
            data_dir,
            INFERENCE="ray",
            RAY_PORT=str(ray_port),
            RAY_MIN_REPLICAS="2",
            RAY_MAX_REPLICAS="2",
            RAY_REPLICA_CPUS="0.5",
            RAY_BATCH_SIZE="4",
            RATE_UPLOAD="100000/min",
        )
        self.take_database(migrated)
        prepared = json.loads(self.python(PREPARE))
        self.key, self.releases = prepared["key"], prepared["releases"]
        self.python(COUNT)
        self.seeds = iter(range(1, 10_000))

    def start_ray(self) -> None:
        self.ray = self.start("ray", sys.executable, "manage.py", "serve")
        log = self.data_dir / "logs" / "ray.log"
        self.await_true(lambda: "Replicas hold" in log.read_text(), 180, "Ray")

    def replicas(self) -> list[psutil.Process]:
        family = psutil.Process(self.ray.pid).children(recursive=True)
        return [process for process in family if "ServeReplica" in " ".join(process.cmdline())]

    def send(self) -> requests.Response:
        return requests.post(
            f"http://127.0.0.1:{self.port}/api/v1/predictions",
            headers={"Authorization": f"Bearer {self.key}"},
            data={"eye": "OD"},
            files={"photo": ("eye.jpg", jpeg_bytes(next(self.seeds)), "image/jpeg")},
            timeout=60,
        )


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Installation]:
    found = Installation(tmp_path_factory.mktemp("ray"), migrated)
    try:
        found.start_web(found.port)
        found.start_ray()
        found.await_true(lambda: _is_live(found.port), 60, "the web server")
        yield found
    finally:
        found.stop()


def _is_live(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/api/v1/health/live", timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.fault
@pytest.mark.timeout(240)
def test_replicas_give_the_answers_of_this_process(system: Installation) -> None:
    replies = [system.send() for _ in range(6)]
    assert {(reply.status_code, reply.json()["status"]) for reply in replies} == {(201, "done")}
    worst, attempts = json.loads(system.python(COMPARE))
    assert worst <= 1e-6 and set(attempts) == {1}
    assert len(system.replicas()) == 2


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_kills_and_promotions_under_load_lose_and_double_nothing(system: Installation) -> None:
    stop, replies = threading.Event(), list[requests.Response]()

    def keep_sending() -> None:
        while not stop.is_set():
            replies.append(system.send())

    senders = [threading.Thread(target=keep_sending) for _ in range(4)]
    for sender in senders:
        sender.start()
    time.sleep(3)
    for _ in range(2):
        system.replicas()[0].send_signal(signal.SIGKILL)
        time.sleep(3)
        system.python(PROMOTE)
        time.sleep(3)
    system.await_true(lambda: len(system.replicas()) == 2, 60, "two replicas")
    answered = len(replies)
    kill_tree(system.ray.pid)  # all of Ray
    system.await_true(lambda: len(replies) > answered + 8, 60, "uploads without Ray")
    stop.set()
    for sender in senders:
        sender.join()

    assert {reply.status_code for reply in replies} <= {201, 202}
    before, after = replies[:answered], replies[answered + 4 :]
    assert sum(reply.status_code == 201 for reply in before) >= 0.9 * len(before)
    assert {reply.json()["release"] for reply in before if reply.status_code == 201} == set(system.releases)
    assert {reply.status_code for reply in after} == {202}
    assert max(reply.elapsed.total_seconds() for reply in after) < 10
    system.python(FINISH)
    statuses, written, distinct = json.loads(system.python(ANSWERS))
    acknowledged = {reply.json()["id"] for reply in replies}
    assert set(statuses) == {"done"} and len(acknowledged) == len(replies) <= statuses["done"]
    assert written == distinct == statuses["done"]
    assert json.loads(system.python(COMPARE))[0] <= 1e-6


@pytest.mark.fault
def test_ray_ends_with_its_command(tmp_path: Path, migrated: Path) -> None:
    other = Installation(tmp_path, migrated)
    try:
        other.start_ray()
        family = psutil.Process(other.ray.pid).children(recursive=True)
        assert family
        other.ray.terminate()
        other.ray.wait(60)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive
    except subprocess.TimeoutExpired:
        pytest.fail(other.log_tails())
    finally:
        other.stop()
