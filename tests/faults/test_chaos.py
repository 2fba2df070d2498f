"""Ten minutes in which web, worker, Redis and PostgreSQL die at random, while photos come, people read, a model trains.

CHAOS_SECONDS sets another length, CHAOS_SEED another course.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.factories import jpeg_bytes
from tests.services import Postgres, free_port
from tests.system import BASE_DIR, System, kill_tree

SECONDS = int(os.environ.get("CHAOS_SECONDS", "600"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SENDERS = 2
READERS = ("one", "two")

BEGIN = """
from django.contrib.auth.models import Group, User
from cataract.core import tokens
from cataract.roles import ensure_roles
from predictions.releases.services import install_starter
from tests.training.makers import label_photos
ensure_roles()
install_starter()
label_photos(train=12, calibration=3, test=3)
from training.runs.services import start_training
users = {}
for name, role in (("sender", "integrator"), ("one", "reader"), ("two", "reader")):
    users[name] = User.objects.create_user(name)
    users[name].groups.add(Group.objects.get(name=role))
start_training(user=None, kind="fast", reason="chaos", parameters={"trials": 30})
print(tokens.create_token(user=users["sender"], name="key", scopes=["upload", "read"], days=9)[1])
"""
# Reads until it is ended; each blind answer that was stored is one line.
READ = """
import sys, time
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from review.reading import services
from review.reading.transitions import Conflict
name = sys.argv[1]
while True:
    try:
        user = User.objects.get(username=name)
        case = services.claim_next(reader=user)
        if case is None:
            time.sleep(1)
            continue
        reading = services.store_blind_answer(case=case, reader=user, answer="cataract", seconds=5)
        print(reading.pk, flush=True)
        if not reading.final_answer:
            services.store_final_answer(reading=reading, answer="cataract")
    except (DatabaseError, Conflict, ValueError):
        connection.close()
        time.sleep(1)
"""
END = """
import json
from django.db.models import Count
from cataract.ops.doctor import examine
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from review.cases.models import Reading
from training.runs.models import TrainingRun
twice = Reading.objects.standing().values("case", "reader").annotate(n=Count("pk")).filter(n__gt=1)
print(json.dumps({
    "photos": sorted(EyeImage.objects.filter(source="api").values_list("original_name", flat=True)),
    "queued": Prediction.objects.filter(status="queued").count(),
    "predictions": Prediction.objects.filter(image__source="api").count(),
    "readings": [str(pk) for pk in Reading.objects.values_list("pk", flat=True)],
    "read_twice": twice.count(),
    "run": list(TrainingRun.objects.values_list("status", "error")),
    "doctor": [finding.message for finding in examine(lambda line: None) if finding.level == "error"],
}))
"""


class Kept:
    """Programs that are started again whenever they end, as systemd does."""

    def __init__(self, starts: dict[str, Callable[[], "subprocess.Popen[bytes]"]]) -> None:
        self._starts = starts
        self._running = {name: start() for name, start in starts.items()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def kill(self, name: str) -> None:
        kill_tree(self._running[name].pid)

    def _keep(self) -> None:
        while not self._over.wait(1):
            for name, process in self._running.items():
                if process.poll() is not None:
                    self._running[name] = self._starts[name]()

    def release(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def system(tmp_path: Path, own_postgres: Postgres, static_files: Path) -> Iterator[System]:
    system = System(
        tmp_path,
        DATABASE_URL=f"{own_postgres.url}/postgres",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
        STATIC_ROOT=str(static_files),
        LOG_LEVEL="WARNING",
        AUTO_ANSWERS="accepted",
        PREDICTION_LEASE_SECONDS="20",
        TRAINING_SILENT_SECONDS="15",
        TRAINING_RESUMES="100",
        RATE_UPLOAD="100000/min",
    )
    system.manage("migrate")
    try:
        yield system
    finally:
        system.stop()


@pytest.mark.fault
@pytest.mark.services
@pytest.mark.timeout(SECONDS + 1500)
def test_nothing_is_lost_or_doubled_while_everything_dies(system: System, own_postgres: Postgres) -> None:
    chance = random.Random(SEED)
    key = system.python(BEGIN).splitlines()[-1]
    port = free_port()
    kept = Kept(
        {
            "broker": system.start_broker,
            "web": lambda: system.start_web(port, threads=8),
            "worker": system.start_worker,
        }
    )
    acknowledged: list[str] = []
    over = threading.Event()
    senders = [
        threading.Thread(target=_send, args=(port, key, number, acknowledged, over)) for number in range(SENDERS)
    ]
    readers = [_reader(system, name) for name in READERS]
    killed: list[str] = []
    try:
        for sender in senders:
            sender.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(chance.uniform(6, 18))
            victim = chance.choices(["web", "worker", "broker", "postgresql"], [3, 3, 2, 1])[0]
            killed.append(victim)
            if victim == "postgresql":
                own_postgres.restart()
            else:
                kept.kill(victim)
        over.set()
        for sender in senders:
            sender.join(timeout=180)
        answers = _stored(system)
        system.await_true(lambda: _is_quiet(system), 600, "every answer, and the end of the training")
        end_state = json.loads(system.python(END).splitlines()[-1])
    finally:
        over.set()
        kept.release()
        for reader in readers:
            kill_tree(reader.pid)
    print(f"killed: {killed}; {len(acknowledged)} photos acknowledged; {len(answers)} readings")
    assert set(killed) >= {"web", "worker"} and len(acknowledged) > SECONDS / 20 and answers
    assert not set(acknowledged) - set(end_state["photos"]), "an acknowledged photo is lost"
    assert len(end_state["photos"]) == len(set(end_state["photos"])) == end_state["predictions"], "one is doubled"
    assert end_state["queued"] == 0
    assert not set(answers) - set(end_state["readings"]), "a reading is lost"
    assert end_state["read_twice"] == 0
    assert end_state["run"] == [["succeeded", ""]]
    assert end_state["doctor"] == []


def _send(port: int, key: str, number: int, acknowledged: list[str], over: threading.Event) -> None:
    """One photo after another, each with its key until it is acknowledged, as the client does."""
    count = 0
    while not over.is_set():
        count += 1
        name = f"photo-{number}-{count}.jpg"
        data = jpeg_bytes(1000 * (number + 1) + count, size=128)
        for _ in range(600):
            if _post(port, key, name, data):
                acknowledged.append(name)
                break
            time.sleep(0.3)
        time.sleep(0.5)


def _post(port: int, key: str, name: str, data: bytes) -> bool:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}
    fields: dict[str, Any] = {"patient": name.removesuffix(".jpg"), "eye": "OD"}
    try:
        answer = requests.post(
            f"http://127.0.0.1:{port}/api/v1/predictions",
            headers=headers,
            data=fields,
            files={"photo": (name, data)},
            timeout=30,
        )
    except requests.RequestException:
        return False
    assert answer.status_code in (201, 202, 409, 429, 500, 502, 503), answer.text
    return answer.status_code in (201, 202)


def _reader(system: System, name: str) -> "subprocess.Popen[str]":
    code = f"import django; django.setup()\n{READ}"
    with (system.data_dir / f"{name}.txt").open("w") as out:
        command = [sys.executable, "-c", code, name]
        return subprocess.Popen(command, cwd=BASE_DIR, env=system.env, stdout=out, stderr=subprocess.DEVNULL, text=True)


def _stored(system: System) -> list[str]:
    """What the readers were told to be stored."""
    return [line for name in READERS for line in (system.data_dir / f"{name}.txt").read_text().splitlines()]


def _is_quiet(system: System) -> bool:
    state = json.loads(system.python(END).splitlines()[-1])
    return state["queued"] == 0 and state["run"][0][0] not in ("queued", "running", "interrupted")
