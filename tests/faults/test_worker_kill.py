"""kill -9 in the middle of 200 tasks, lost messages, repeated ones: nothing is lost, nothing is done twice."""

import os
import signal
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.services import free_port
from tests.system import System, kill_tree

TASKS = 200
SECONDS = 120  # from the last kill to the last answer; leases of dead workers last 5 s here
DONE = "SELECT count(*) FROM predictions_prediction WHERE status = 'done'"
# Counts every change to DONE: an answer that is written twice is noticed.
COUNT_ON_SQLITE = """
CREATE TABLE answers (prediction TEXT);
CREATE TRIGGER count_answers AFTER UPDATE OF status ON predictions_prediction WHEN NEW.status = 'done'
BEGIN INSERT INTO answers VALUES (NEW.id); END;
"""
COUNT_ON_POSTGRESQL = """
CREATE TABLE answers (prediction uuid);
CREATE FUNCTION note_answer() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO answers VALUES (NEW.id); RETURN NEW; END $$;
CREATE TRIGGER count_answers AFTER UPDATE OF status ON predictions_prediction
FOR EACH ROW WHEN (NEW.status = 'done') EXECUTE FUNCTION note_answer();
"""
QUEUE_ROWS = """
import io
from pathlib import Path
from PIL import Image
from cataract.ml.synthetic import render_eye
from predictions.answering import tasks
from predictions.answering.models import Prediction
from predictions.photos import intake
from predictions.photos.facts import PhotoFacts
from predictions.photos.services import store_photo
from predictions.releases.services import make_champion
from predictions.releases.store import register_release
from tests.releases import make_tiny_release
from django.conf import settings

release = register_release(folder=make_tiny_release(Path(settings.DATA_DIR) / "tiny"))
make_champion(release=release, user=None, reason="test")
images = []
for seed in range(10):
    buffer = io.BytesIO()
    Image.fromarray(render_eye(seed, opacity=seed / 10)).save(buffer, "PNG")
    photo = intake.examine(buffer.getvalue(), name=f"{seed}.png")
    images.append(store_photo(photo, PhotoFacts(f"P-{seed}", "OD"), user=None, source="command")[0])
rows = Prediction.objects.bulk_create([Prediction(image=images[n % len(images)]) for n in range(ROWS)])
for row in rows:
    for _ in range(TIMES):
        tasks.predict.delay(str(row.pk))
print(len(rows))
"""
FLUSH = """
from django.conf import settings
from cataract.core.broker.server import connect
with connect(settings.CELERY_BROKER_URL, timeout=5) as client:
    print(client.llen("predict"), client.flushall())
"""
LEFT = """
from django.conf import settings
from cataract.core.broker.server import connect
with connect(settings.CELERY_BROKER_URL, timeout=5) as client:
    print(client.llen("predict"), client.hlen("unacked"))
"""
GIVE_BACK = """
from cataract.core.broker.server import give_back_unacknowledged
from cataract.celery import app
print(give_back_unacknowledged(app))
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.services, pytest.mark.fault])])
def system(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[System]:
    """A system without any process yet: on SQLite with the embedded broker, or on PostgreSQL with Redis."""
    if request.param == "sqlite":
        system = System(tmp_path, PREDICTION_LEASE_SECONDS="5")
        system.take_database(migrated)
    else:
        servers = {
            "DATABASE_URL": request.getfixturevalue("postgres_url"),
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        }
        system = System(tmp_path, PREDICTION_LEASE_SECONDS="5", **servers)
        system.manage("migrate")
    yield system
    system.stop()


def ask(system: System, query: str) -> int:
    return int(text(system, query))


def text(system: System, query: str) -> str:
    if url := system.env.get("DATABASE_URL"):
        with psycopg.connect(url) as postgres:
            found = postgres.execute(query).fetchone()
    else:
        with sqlite3.connect(system.data_dir / "db.sqlite3", timeout=20) as lite:
            found = lite.execute(query).fetchone()
    assert found is not None
    return str(found[0])


def await_done(system: System, count: int, seconds: float) -> None:
    system.await_true(lambda: ask(system, DONE) >= count, seconds, f"{count} answers")


def queue(system: System, rows: int, times: int = 1) -> None:
    """`rows` predictions, each published `times` times; answers are counted from here on."""
    assert system.python(f"ROWS, TIMES = {rows}, {times}\n{QUEUE_ROWS}") == str(rows)
    if url := system.env.get("DATABASE_URL"):
        with psycopg.connect(url) as postgres:
            postgres.execute(COUNT_ON_POSTGRESQL)
    else:
        with sqlite3.connect(system.data_dir / "db.sqlite3") as lite:
            lite.executescript(COUNT_ON_SQLITE)


@pytest.mark.slow
def test_messages_that_are_lost_with_the_broker_cost_time_and_nothing_else(system: System) -> None:
    """FLUSHALL with 50 rows queued: the sweeper answers each of them, once."""
    system.start_broker()
    queue(system, 50)
    assert system.python(FLUSH) == "50 True"
    system.start_worker()
    await_done(system, 50, SECONDS)
    assert ask(system, "SELECT count(*) FROM answers") == 50
    assert ask(system, "SELECT max(attempts) FROM predictions_prediction") == 1


@pytest.mark.fault
def test_a_message_that_is_delivered_five_times_is_answered_once(system: System) -> None:
    """Each row five times, to two processes that take what comes: one attempt, one answer, one embedding."""
    system.start_broker()
    queue(system, 8, times=5)
    system.start_worker(beat=False)
    await_done(system, 8, SECONDS)
    system.await_true(lambda: system.python(LEFT) == "0 0", 60, "every message")
    assert ask(system, "SELECT count(*) FROM answers") == 8
    assert ask(system, "SELECT max(attempts) FROM predictions_prediction") == 1
    assert ask(system, "SELECT count(*) FROM predictions_embedding") == 8


@pytest.mark.slow
def test_a_photo_that_kills_its_worker_is_given_up_and_holds_nobody_else_up(system: System) -> None:
    """The child dies three times during a photo: then a clinician reviews it. All others are answered once."""
    system.start_broker()
    queue(system, 10)
    poison = text(system, "SELECT id FROM predictions_prediction ORDER BY created_at LIMIT 1")
    system.start_worker(FAULT_INJECTION="1", FAILPOINT=f"predict.running:{uuid.UUID(poison)}")
    await_done(system, 9, 2 * SECONDS)
    failed = "SELECT count(*) FROM predictions_prediction WHERE status = 'failed'"
    system.await_true(lambda: ask(system, failed) == 1, 2 * SECONDS, "the end of the photo that kills")
    assert text(system, "SELECT id FROM predictions_prediction WHERE status = 'failed'") == poison
    assert ask(system, "SELECT max(attempts) FROM predictions_prediction") == 3
    assert ask(system, "SELECT count(*) FROM predictions_prediction WHERE status = 'failed' AND needs_review") == 1
    assert ask(system, "SELECT count(*) FROM answers") == 9


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_every_task_is_done_exactly_once_through_kills_of_worker_and_broker(system: System) -> None:
    broker = system.start_broker()
    queue(system, TASKS)

    worker = system.start_worker()
    await_done(system, 20, 60)
    family = psutil.Process(worker.pid).children(recursive=True)
    os.kill(worker.pid, signal.SIGKILL)  # the main process alone: its children, beat among them, must not go on
    assert not psutil.wait_procs(family, timeout=15)[1]
    worker.wait()
    at_kill = ask(system, DONE)
    assert at_kill < TASKS, "the kill came too late to prove anything"
    time.sleep(1)  # whatever still ran would show
    assert ask(system, DONE) <= at_kill + 2

    worker = system.start_worker()
    await_done(system, at_kill + 30, 60)
    kill_tree(worker.pid)
    broker.kill()
    worker.wait(), broker.wait()
    assert ask(system, DONE) < TASKS, "the kill came too late to prove anything"

    (system.data_dir / "run" / "broker.sock").unlink(missing_ok=True)
    system.start_broker()
    system.python(GIVE_BACK)
    started = time.monotonic()
    system.start_worker()
    await_done(system, TASKS, SECONDS)
    print(f"last answer {time.monotonic() - started:.1f} s after the restart")

    assert ask(system, "SELECT count(*) FROM answers") == TASKS
    assert ask(system, "SELECT count(DISTINCT prediction) FROM answers") == TASKS
    assert ask(system, "SELECT max(attempts) FROM predictions_prediction") <= 3
    assert ask(system, "SELECT count(*) FROM predictions_embedding") == 10
