"""What grows with the number of stored photos: nothing that a page, a claim or a sweep reads.

Two sizes of a made-up database (`manage.py fill`): the queries of each page stay the same, and no query reads a long
table from end to end. On PostgreSQL the rows that each page reads are counted as well.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from predictions.answering.models import Prediction
from review.acceptance import worker as acceptance
from review.acceptance.models import Progress
from review.cases.models import ReviewCase
from review.queue import worker as queue
from review.reading import services as reading
from tests.system import BASE_DIR
from training.triggers import worker as triggers
from training.triggers.models import TrainingPolicy

pytestmark = pytest.mark.django_db

SMALL, LARGE = 400, 1600
LONG = ("predictions_prediction", "predictions_eyeimage", "predictions_disclosure", "review_reading", "review_label")
PAGES = {
    "uploads": ("admin0", "/uploads/"),
    "oldest uploads": ("admin0", "/uploads/?oldest=1"),
    "patients": ("admin0", "/patients/"),
    "a patient's photos": ("admin0", "/uploads/?patient_prefix=P-0000003"),
    "api": ("admin0", "/api/v1/predictions"),
    "system": ("admin0", "/api/v1/system"),
    "overview": ("admin0", "/overview/"),
    "report of a month": ("admin0", "/overview/month/2026-10/"),
    "status": ("admin0", "/status/"),
    "worklist": ("admin0", "/review/worklist/"),
    "admin, predictions": ("admin0", "/admin/predictions/prediction/"),
    "admin, photos of a patient": ("admin0", "/admin/predictions/eyeimage/?q=P-0000003"),
    "admin, cases of a patient": ("admin0", "/admin/review/reviewcase/?q=P-0000003"),
    "admin, labels": ("admin0", "/admin/review/label/"),
    "admin, readings": ("admin0", "/admin/review/reading/"),
}
TASKS: dict[str, Callable[[], Any]] = {
    "cases": queue.sweep,
    "abandoned readings": reading.settle_abandoned,
    "policy": triggers.check_if_changed,
    "acceptance": acceptance.judge_if_changed,
}


@pytest.fixture(autouse=True)
def prepared_overview(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of the overview are those of a worker, which answers at once."""
    monkeypatch.setattr("cataract.ops.overview.selectors.AT_ONCE", 100)
    monkeypatch.setattr("cataract.ops.overview.views.nudge", lambda task, name: task(name))


def page(name: str) -> Callable[[], Any]:
    user, address = PAGES[name]
    client = Client()
    client.force_login(User.objects.get(username=user))

    def show() -> None:
        response = client.get(address)
        assert response.status_code == 200, address

    return show


def filled(number: int, seed: int) -> None:
    """A made-up database in which nothing is left to do."""
    call_command("fill", str(number), seed=seed, stdout=StringIO())
    while queue.sweep()[0]:
        pass


@contextmanager
def plans() -> Iterator[list[str]]:
    """The steps by which SQLite would answer each SELECT and UPDATE of the block."""
    steps: list[str] = []
    with CaptureQueriesContext(connection) as queries:
        yield steps
    for query in queries.captured_queries:
        if query["sql"].startswith(("SELECT", "UPDATE")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql'].replace('%', '%%')}", ())
                steps.extend(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite explains how it reads tables")
def test_no_page_and_no_sweep_reads_a_long_table_from_end_to_end() -> None:
    filled(SMALL, 1)
    TrainingPolicy.objects.create(pk=1, is_on=True, checked_at=timezone.now() + timedelta(minutes=1))
    works = {name: page(name) for name in PAGES} | TASKS
    del works["system"]  # SQLite knows no histogram: it cannot foresee that few predictions are queued
    for work in works.values():
        work()
    found = {}
    for name, work in works.items():
        with plans() as steps:
            work()
        # "SCAN x USING INDEX": the rows in the order of an index, for a page that stops after some of them.
        scans = [step for step in steps if re.match(rf"SCAN ({'|'.join(LONG)})$", step)]
        if scans:
            found[name] = scans
    assert not found


def test_the_queries_do_not_grow() -> None:
    counts: dict[str, list[int]] = {}
    for number, seed in ((SMALL, 1), (LARGE - SMALL, 2)):
        filled(number, seed)
        for name in PAGES:
            work = page(name)
            work()
            with CaptureQueriesContext(connection) as queries:
                work()
            counts.setdefault(name, []).append(len(queries))
    assert {name: pair for name, pair in counts.items() if pair[1] > pair[0]} == {}
    assert max(count for pair in counts.values() for count in pair) < 30


def test_a_sweep_that_finds_nothing_asks_few_questions() -> None:
    filled(SMALL, 1)
    TrainingPolicy.objects.create(pk=1, is_on=True)
    for work in TASKS.values():
        work()
    Progress.objects.update(counted_at=timezone.now() + timedelta(minutes=1))
    TrainingPolicy.objects.update(checked_at=timezone.now() + timedelta(minutes=1))
    for name, most in {"cases": 6, "abandoned readings": 1, "policy": 1, "acceptance": 10}.items():
        with CaptureQueriesContext(connection) as queries:
            TASKS[name]()
        assert len(queries) <= most, name


def rows_read() -> int:
    """The rows that this transaction has read so far, by sequential and by index scans."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables")
        return int(cursor.fetchone()[0])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL counts the rows it reads")
def test_the_rows_read_do_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    # Up to there the admin counts. More than a page: a list of one page is read without a limit.
    monkeypatch.setattr("cataract.core.admin.MOST_LISTED", 150)
    read: dict[str, list[int]] = {}
    for number, seed in ((2000, 1), (6000, 2)):
        filled(number, seed)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # tables of this size would be read as a whole
        open_cases = ReviewCase.objects.filter(status__in=ReviewCase.OPEN).values_list("pk", flat=True)
        ReviewCase.objects.filter(pk__in=list(open_cases[100:])).move("withdrawn")  # as many wait as before
        for name in PAGES:
            work = page(name)
            work()
            before = rows_read()
            work()
            read.setdefault(name, []).append(rows_read() - before)
    assert {name: pair for name, pair in read.items() if pair[1] > 2 * pair[0] + 1500} == {}
    assert Prediction.objects.count() == 8000


@pytest.mark.fault
@pytest.mark.services
@pytest.mark.timeout(600)
def test_the_same_on_postgresql(postgres_url: str) -> None:
    chosen = "queries_do_not or rows_read"
    env = {key: value for key, value in os.environ.items() if key != "DATA_DIR"} | {"DATABASE_URL": postgres_url}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", chosen]
    done = subprocess.run(command, cwd=BASE_DIR, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout[-3000:]
