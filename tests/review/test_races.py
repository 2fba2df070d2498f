"""Many readers at once: no case twice, no answer lost. Runs on SQLite, and as a whole again on PostgreSQL."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Count

from predictions.answering.models import Prediction
from predictions.photos.models import Cluster, EyeImage
from review.cases.models import Reading, ReviewCase
from review.queue import opening
from review.reading import services
from tests.factories import PredictionFactory, ReaderFactory
from tests.review.makers import make_case

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(900)]

CASES = int(os.environ.get("RACING_CASES", "120"))  # `make faults` asks for more


def at_once(acts: list[Callable[[], object]]) -> None:
    """Do all of these at the same instant, each in a thread with its own connection; fail if any fails."""
    start, errors = threading.Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        try:
            start.wait()
            act()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def make_cases(number: int) -> None:
    """That many cases like one made by the services, in a few statements."""
    model = PredictionFactory.create()
    assert model.image is not None

    def like(row: EyeImage | Prediction, **values: object) -> dict[str, object]:
        kept = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
        return {**kept, **values}

    clusters = Cluster.objects.bulk_create(Cluster(split="train") for _ in range(number - 1))
    images = []
    for count, cluster in enumerate(clusters):
        new = EyeImage(**like(model.image, id=None, cluster_id=cluster.pk, sha256=f"{count:064x}"))
        new.id = EyeImage._meta.pk.get_default()
        images.append(new)
    EyeImage.objects.bulk_create(images)
    predictions = []
    for image in images:
        another = Prediction(**like(model, id=None, image_id=image.pk))
        another.id = Prediction._meta.pk.get_default()
        predictions.append(another)
    Prediction.objects.bulk_create(predictions)
    assert opening.open_cases() == number


def test_twenty_readers_share_no_case_and_lose_no_answer() -> None:
    """Every fourth reader also keeps cases in advance, as the page does."""
    make_cases(CASES)
    readers = [ReaderFactory.create() for _ in range(20)]
    begun = time.monotonic()

    def read_all(number: int) -> None:
        while case := services.claim_next(reader=readers[number]):
            if number % 4 == 0:
                services.claim_ahead(case=case, reader=readers[number])
            services.store_blind_answer(case=case, reader=readers[number], answer="cataract")

    at_once([partial(read_all, number) for number in range(len(readers))])
    print(f"\n20 readers, {CASES} cases: {time.monotonic() - begun:.0f} s, {connection.vendor}")
    read = Counter(Reading.objects.values_list("case_id", "role"))
    assert len(read) == CASES and set(read.values()) == {1}, "each once"
    assert set(Reading.objects.values_list("role", flat=True)) == {"first"}, "no claim passed to another reader"
    assert not ReviewCase.objects.filter(status="first").exists()
    assert Reading.objects.values("reader").distinct().count() > 10, "the work was shared"


def test_of_two_who_answer_at_the_same_instant_one_wins_and_the_other_is_kept_as_a_second_opinion() -> None:
    """Both have the case on the screen; the lease has ended, so either may be first."""
    one, two = ReaderFactory.create(), ReaderFactory.create()
    for number in range(20):
        case = make_case("cataract")
        said = {one.pk: "cataract", two.pk: "cataract" if number % 2 else "normal"}
        at_once(
            [
                partial(services.store_blind_answer, case=deepcopy(case), reader=reader, answer=said[reader.pk])
                for reader in (one, two)
            ]
        )
        kept = {reading.reader_id: reading for reading in Reading.objects.filter(case=case)}
        assert {reader: reading.blind_answer for reader, reading in kept.items()} == said, "no answer is lost"
        roles = sorted(reading.role for reading in kept.values())
        assert roles[-1 if "second" not in roles else 0] == "first" and len(set(roles)) == 2, roles
    by_role = dict(Reading.objects.values_list("role").annotate(Count("pk")))
    assert by_role["first"] == 20 and sum(by_role.values()) == 40, by_role


def test_all_this_on_postgresql(postgres_url: str) -> None:
    """The tests of this file, and those of what the database itself refuses, in a pytest run of their own."""
    tests = ["tests/review/test_races.py", "tests/review/test_transitions.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        *tests,
        "-k",
        "not sequence and not postgresql",
    ]
    env = {**os.environ, "DATABASE_URL": postgres_url}
    env.pop("DATA_DIR", None)
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    times = [line for line in done.stdout.splitlines() if "readers, " in line]
    print("\n" + "\n".join(times))
    assert len(times) == 1 and times[0].endswith("postgresql"), done.stdout
