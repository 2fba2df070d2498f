"""Look-backs over HTTP: what a release decided alone is scored again, ranked by risk, and sent to readers."""

import csv
import io
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from predictions.answering.final_results import settle_by_ai
from predictions.answering.models import Disclosure, Prediction
from predictions.photos import storage
from predictions.releases.models import Release
from review.agreement import in_service
from review.cases.models import ReviewCase
from review.lookback import worker
from review.lookback.models import LookBack, LookBackAnswer
from review.queue import opening, policy
from review.reading import services as reading_services
from tests.factories import EyeImageFactory, PredictionFactory, ReaderFactory, ReleaseFactory, UserFactory, jpeg_bytes
from tests.review.test_outcomes import record
from tests.review.test_pages import logged_in
from tests.system import BASE_DIR, System

pytestmark = pytest.mark.django_db
TODAY = timezone.localdate().isoformat()


@pytest.fixture
def old() -> Release:
    return ReleaseFactory.create(id="old-release", status="retired")


@pytest.fixture
def admin() -> User:
    return UserFactory.create(roles=["admin"])


def decided(
    release: Release, *, seed: int, opacity: float = 0.0, decision: str = "normal", **values: Any
) -> Prediction:
    """A stored photo that this release decided alone."""
    data = jpeg_bytes(seed, opacity=opacity)
    name, digest = storage.store(data, suffix=".jpg")
    image = EyeImageFactory.create(stored_name=name, sha256=digest, patient_key=f"P-{seed}")
    values = {"needs_review": False, "reasons": [], "probability": 0.02, **values}
    prediction = PredictionFactory.create(image=image, release=release, decision=decision, **values)
    settle_by_ai(prediction)
    return prediction


def start(client: Client, by: Release, **values: Any) -> Any:
    body = {"release": "old-release", "by_release": by.pk, "since": TODAY, "until": TODAY, **values}
    return client.post("/review/look-backs/", body)


def test_photos_decided_alone_are_scored_again_and_ranked_by_risk(old: Release, admin: User, champion: Release) -> None:
    clear, missed = decided(old, seed=3), decided(old, seed=4, opacity=1.0)
    called = decided(old, seed=5, decision="cataract", probability=0.99)
    damaged = decided(old, seed=6)
    storage.path(damaged.image.stored_name).write_bytes(b"damaged")
    decided(old, seed=7, needs_review=True, reasons=["uncertain"])  # a person was asked
    decided(old, seed=8, created_at=timezone.now() - timedelta(days=3))  # on another day
    decided(ReleaseFactory.create(), seed=9)  # by another release
    client = logged_in(admin)
    assert 'href="/review/look-backs/"' in client.get("/review/agreement/").content.decode()
    page = start(client, champion)
    address = page["Location"]
    assert "0 of 4 photos scored" in " ".join(client.get(address).content.decode().split())
    worker.sweep(seconds=60)
    look_back = LookBack.objects.get()
    assert (look_back.status, look_back.total, look_back.requested_by) == ("done", 4, admin)
    text = " ".join(client.get(address).content.decode().split())
    assert "4 of 4 photos scored, 1 of them could not be read." in text
    assert "Of 3 cleared, 1 is now called cataract and 0 cannot be judged." in text
    places = [text.index(f"/photos/{each.image_id}/thumb/") for each in (missed, clear, damaged)]
    assert places == sorted(places), "the most probable cataract first"
    assert str(called.image_id) not in text
    assert str(called.image_id) in client.get(f"{address}?was=called").content.decode()
    only = client.get(f"{address}?now=cataract&at_least=0.5&sent=no").content.decode()
    assert str(missed.image_id) in only and str(clear.image_id) not in only
    assert Disclosure.objects.filter(user=admin, image=missed.image).exists(), "who is shown it is no blind reader"


def test_one_action_sends_them_to_blind_readers(old: Release, admin: User, champion: Release) -> None:
    missed, clear = decided(old, seed=4, opacity=1.0), decided(old, seed=3)
    client = logged_in(admin)
    address = start(client, champion)["Location"]
    worker.sweep(seconds=60)
    answer = client.post(f"{address}?now=cataract", {"which": "all"})
    assert "1 case is waiting for readers." in client.get(answer["Location"]).content.decode()
    case = ReviewCase.objects.get()
    assert (case.image, case.reasons, case.review_propensity, case.priority) == (missed.image, ["look_back"], 1.0, 20)
    assert opening.open_cases() == 0
    client.post(f"{address}?now=cataract", {"which": "all"})
    ticked = LookBackAnswer.objects.get(prediction=clear)
    client.post(address, {"which": "ticked", "rows": [ticked.pk]})
    client.post(address, {"which": "all"})
    assert ReviewCase.objects.count() == 2, "nothing is sent twice"

    for reader in ReaderFactory.create_batch(2):
        reading_services.store_blind_answer(case=case, reader=reader, answer="cataract")
        reading_services.store_final_answer(reading=case.readings.get(reader=reader), answer="cataract")
    missed.refresh_from_db()
    result = Prediction.objects.as_shown().get(pk=missed.pk).final_result
    assert result is not None and (result.answer, result.status) == ("cataract", "amended")
    assert "Read" in client.get(address).content.decode()
    assert in_service.rows() == [], "chosen for its risk, it stands for no other photo"
    assert policy.readable(admin).count() == 0


def test_it_is_exported_as_csv(old: Release, admin: User, champion: Release) -> None:
    missed = decided(old, seed=4, opacity=1.0)
    client = logged_in(UserFactory.create(roles=["auditor"]))
    address = start(logged_in(admin), champion)["Location"]
    worker.sweep(seconds=60)
    answer: Any = client.get(f"{address}answers.csv?now=cataract")
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    (row,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert (row["prediction"], row["answer"], row["answer_now"]) == (str(missed.pk), "normal", "cataract")
    assert (row["release"], row["by_release"], row["patient"]) == ("old-release", champion.pk, "P-4")
    assert Disclosure.objects.filter(image=missed.image).count() == 1


def test_what_cannot_be_looked_back_at_is_refused(old: Release, admin: User, champion: Release) -> None:
    client = logged_in(admin)
    for values, words in (
        ({}, "decided no photo alone"),
        ({"by_release": "old-release"}, "Choose another release"),
        ({"since": "2031-01-01"}, "The last day is before the first."),
    ):
        answer = start(client, champion, **values)
        assert answer.status_code == 422 and words in answer.content.decode()
    auditor = logged_in(UserFactory.create(roles=["auditor"]))
    assert start(auditor, champion).status_code == 403
    assert not LookBack.objects.exists()


def test_a_damaged_release_fails_it_and_a_person_cancels_it(old: Release, admin: User, champion: Release) -> None:
    decided(old, seed=3)
    client = logged_in(admin)
    first = start(client, champion)["Location"]
    assert start(client, champion)["Location"] == first, "the same one, still running"
    assert client.post(f"{first}cancel/").status_code == 302
    assert LookBack.objects.get().status == "cancelled"
    worker.sweep(seconds=1)
    assert not LookBackAnswer.objects.exists()
    damaged = ReleaseFactory.create(id="damaged")
    address = start(client, damaged)["Location"]
    worker.sweep(seconds=1)
    assert LookBack.objects.get(by_release=damaged).status == "failed"
    assert "The look-back has failed." in client.get(address).content.decode()


def test_photos_cleared_wrongly_have_a_tab_and_go_to_readers(old: Release, admin: User) -> None:
    prediction = decided(old, seed=3)
    client = logged_in(admin)
    assert "No such photos" in client.get("/review/look-backs/cleared-wrongly/").content.decode()
    assert record(client, patient="P-3", seen_on=TODAY).status_code == 302
    viewer = UserFactory.create(roles=["auditor", "reader"])
    page = " ".join(logged_in(viewer).get("/review/look-backs/cleared-wrongly/").content.decode().split())
    assert "1 photo." in page and "AI alone" in page and "Send all" not in page
    assert policy.has_seen(ReviewCase(image=prediction.image), viewer) is False  # no case yet
    client.post("/review/look-backs/cleared-wrongly/", {"which": "all"})
    case = ReviewCase.objects.get()
    assert case.reasons == ["look_back"] and not policy.readable(viewer).exists()
    reading_services.store_blind_answer(case=case, reader=(reader := ReaderFactory.create()), answer="normal")
    assert case.readings.get(reader=reader).final_answer == "normal"
    client.post("/review/look-backs/cleared-wrongly/", {"which": "all"})
    again = ReviewCase.objects.exclude(pk=case.pk).get()
    assert again.prediction != prediction and again.image == prediction.image, "read before: a new prediction"


PREPARE = """
import hashlib
from pathlib import Path
from django.utils import timezone
from predictions.answering.final_results import settle_by_ai
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.releases import store
from predictions.releases.models import Release
from review.lookback import services
from tests.factories import EyeImageFactory, PredictionFactory, ReleaseFactory, jpeg_bytes
old = ReleaseFactory.create(id="old-release", status="retired")
new = store.register_release(folder=Path({tiny!r}))
for seed in range(30):
    name, digest = storage.store(jpeg_bytes(seed), suffix=".jpg")
    image = EyeImageFactory.create(stored_name=name, sha256=digest)
    settle_by_ai(PredictionFactory.create(image=image, release=old, decision="normal", needs_review=False, reasons=[]))
day = timezone.localdate()
services.start_look_back(user=None, release=old, by_release=new, since=day, until=day)
"""
SWEEP = """
import django; django.setup()
from review.lookback import worker
worker.sweep(seconds=600)
"""
LOOK = """
from review.lookback.models import LookBack, LookBackAnswer
answers = LookBackAnswer.objects.all()
print(LookBack.objects.get().status, answers.count(), answers.values("prediction").distinct().count())
"""
END_LEASE = """
from review.lookback.models import LookBack
LookBack.objects.update(lease_until="2020-01-01T00:00:00Z")
"""


@pytest.mark.parametrize(
    ("point", "scored"),
    [("look_back.in_transaction", 0), pytest.param("look_back.after_commit", 20, marks=pytest.mark.fault)],
)
def test_a_killed_worker_leaves_each_photo_scored_once(
    point: str, scored: int, tmp_path: Path, migrated: Path, tiny_release: Path
) -> None:
    system = System(tmp_path, FAULT_INJECTION="1")
    system.take_database(migrated)
    system.python(PREPARE.format(tiny=str(tiny_release)))
    environment = {**system.env, "FAILPOINT": point}
    killed = subprocess.run(
        [sys.executable, "-c", SWEEP], cwd=BASE_DIR, env=environment, capture_output=True, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert system.python(LOOK) == f"waiting {scored} {scored}"
    system.python(SWEEP)
    assert system.python(LOOK) == f"waiting {scored} {scored}", "the lease of the killed worker still runs"
    system.python(END_LEASE)
    system.python(SWEEP)
    assert system.python(LOOK) == "done 30 30"
