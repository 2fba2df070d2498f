"""`manage.py doctor` finds every kind of damage to a healthy system, and names what is damaged."""

import hashlib
import io
import json
import os
import shutil
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from cataract.celery import app as celery_app
from cataract.ml.release.manifest import read_manifest, write_json
from cataract.ops import doctor
from cataract.ops.backup import services as backups
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.facts import PhotoFacts
from predictions.releases import signing, store
from predictions.releases.models import Release
from tests.factories import TrainingRunFactory, jpeg_bytes
from tests.releases import make_tiny_release
from tests.services import free_port

LONG_AGO = timedelta(days=2)


@pytest.fixture
def photo(champion: Release, redis_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Prediction:
    """A healthy system with one answered photo: a real broker, and a worker that answers its ping."""
    settings.CELERY_BROKER_URL = redis_url
    answers = SimpleNamespace(ping=lambda: {"celery@here": {"ok": "pong"}})
    monkeypatch.setattr(celery_app.control, "inspect", lambda **_: answers)
    monkeypatch.setattr("cataract.ops.doctor.starter_on_offer", lambda: "")  # a test has another champion
    return services.upload_photo(data=jpeg_bytes(1), user=None, source="api", facts=PhotoFacts(eye="OD"))


def examine() -> tuple[int, list[dict[str, str]]]:
    """The exit code, and the findings that are not ok."""
    said, code = io.StringIO(), 0
    try:
        call_command("doctor", "--json", stdout=said)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    report = json.loads(said.getvalue())
    assert report["healthy"] == (code == 0)
    return code, [finding for finding in report["findings"] if finding["level"] != "ok"]


def the_error(check: str) -> str:
    """The message of the one thing that is wrong, which also fails the command and comes with a cure."""
    code, findings = examine()
    assert code == 1
    assert [(finding["level"], finding["check"]) for finding in findings] == [("error", check)], findings
    assert findings[0]["cure"]
    return findings[0]["message"]


def the_note(check: str) -> str:
    """The message of the one thing worth knowing, which does not fail the command."""
    code, findings = examine()
    assert code == 0
    assert [(finding["level"], finding["check"]) for finding in findings] == [("note", check)], findings
    return findings[0]["message"]


def backed_up(hours_ago: float) -> None:
    backups._note(backups.LastBackup((timezone.now() - timedelta(hours=hours_ago)).isoformat(), "abc", 0))


@pytest.fixture(autouse=True)
def backup(own_folders: None) -> None:
    """A backup of the last night."""
    backed_up(hours_ago=8)


def test_a_healthy_system_is_well(photo: Prediction) -> None:
    assert photo.status == "done"
    assert examine() == (0, [])


# Photos -----------------------------------------------------------------------------------------------------------


def test_a_changed_photo(photo: Prediction) -> None:
    flip_a_byte(storage.path(photo.image.stored_name))
    message = the_error("photos")
    assert str(photo.image_id) in message and photo.image.stored_name in message
    assert "has changed since it was stored" in message


def test_a_missing_photo(photo: Prediction) -> None:
    storage.path(photo.image.stored_name).unlink()
    message = the_error("photos")
    assert photo.image.stored_name in message and "cannot be read (No such file or directory)" in message


def test_a_file_of_no_photo_is_a_note_once_it_is_old(photo: Prediction) -> None:
    name, _ = storage.store(b"left behind", suffix=".jpg")
    assert examine() == (0, []), "it may belong to an upload that runs now"
    make_old(storage.path(name))
    assert f"1 files in {storage.path('')} belong to no photo and may be deleted: {name}." == the_note("files")


def test_the_derivatives_of_a_photo_are_no_strays(photo: Prediction) -> None:
    storage.derivative(photo.image.stored_name, "thumb", lambda data: data)
    for path in storage.path("derived").rglob("*.jpg"):
        make_old(path)
    assert examine() == (0, [])


def test_a_file_that_goes_while_the_folder_is_read_is_no_stray(
    photo: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = storage.path("ab/.tmp-0123")
    monkeypatch.setattr(Path, "rglob", lambda *_: [gone])
    assert list(doctor.check_stray_files()) == []


# Predictions ------------------------------------------------------------------------------------------------------


def test_a_photo_that_waits_too_long(photo: Prediction) -> None:
    late = Prediction.objects.create(image=photo.image, created_at=timezone.now() - timedelta(minutes=6))
    Prediction.objects.create(image=photo.image)
    assert the_error("predictions") == f"1 predictions have waited over five minutes for an answer: {late.pk}."


def test_a_failed_prediction(photo: Prediction) -> None:
    failed = Prediction.objects.create(image=photo.image, status="failed", attempts=3, error="Three times.")
    assert the_error("predictions") == f"1 predictions have failed: {failed.pk}."


def test_many_failed_predictions_are_counted_and_some_are_named(photo: Prediction) -> None:
    for _ in range(7):
        Prediction.objects.create(image=photo.image, status="failed", error="Three times.")
    message = the_error("predictions")
    assert message.startswith("7 predictions have failed: ") and message.endswith(" and 2 more.")


def test_a_prediction_that_nobody_will_ever_read(photo: Prediction) -> None:
    unseen = Prediction.objects.create(
        image=photo.image,
        status="done",
        needs_review=True,
        reasons=["no_champion"],
        review_propensity=1,
        done_at=timezone.now() - LONG_AGO,
    )
    assert the_error("review") == f"1 predictions need a clinician and have no review case: {unseen.pk}."


# Training ---------------------------------------------------------------------------------------------------------


def test_a_run_whose_worker_is_gone(photo: Prediction, champion: Release) -> None:
    silent_since = timezone.now() - timedelta(minutes=2)
    run = TrainingRunFactory.create(base_release=champion, status="running", heartbeat_at=silent_since)
    assert the_error("training").startswith(f"Run {run.pk} has been silent since ")


def test_a_run_that_is_alive_is_well(photo: Prediction, champion: Release) -> None:
    TrainingRunFactory.create(base_release=champion, status="running", heartbeat_at=timezone.now())
    assert examine() == (0, [])


def test_a_run_that_no_worker_takes(photo: Prediction, champion: Release) -> None:
    run = TrainingRunFactory.create(base_release=champion, created_at=timezone.now() - timedelta(minutes=6))
    assert the_error("training") == f"Run {run.pk} has waited over five minutes."


def test_an_interrupted_run_is_a_note(photo: Prediction, champion: Release) -> None:
    TrainingRunFactory.create(base_release=champion, status="interrupted")
    assert the_note("training") == "1 training runs were interrupted."


# Releases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trunk.onnx", "fast.txt", "policy.json", "golden.json", "card.md"])
def test_a_flipped_byte_in_the_champion(photo: Prediction, champion: Release, name: str) -> None:
    flip_a_byte(store.folder_of(champion) / name)
    message = the_error("releases")
    assert message.startswith(f"{champion.pk}: ") and f"{name} is not the file that was released" in message


def test_a_flipped_byte_in_the_manifest(photo: Prediction, champion: Release) -> None:
    path = store.folder_of(champion) / "manifest.json"
    path.write_text(path.read_text().replace('"tiny"', '"tinz"', 1))
    assert "the manifest is not the one on record" in the_error("releases")


def test_a_champion_without_its_folder(photo: Prediction, champion: Release) -> None:
    shutil.rmtree(store.folder_of(champion))
    assert "there is no readable manifest.json" in the_error("releases")


def test_a_champion_that_answers_differently_on_this_machine(photo: Prediction, champion: Release) -> None:
    folder = store.folder_of(champion)
    exchange_golden_answers(folder)
    signing.sign(folder)
    Release.objects.filter(pk=champion.pk).update(manifest_sha256=read_manifest(folder).sha256)
    message = the_error("releases")
    assert f"{champion.pk} answers differently on this machine for its golden photo" in message


def test_a_damaged_release_that_does_not_serve_is_a_note(photo: Prediction, tmp_path: Path) -> None:
    spare = store.register_release(folder=make_tiny_release(tmp_path / "spare", seed=7, name="spare"))
    flip_a_byte(store.folder_of(spare) / "fast.txt")
    assert the_note("releases").startswith(f"{spare.pk}: ")


def test_no_champion(photo: Prediction, champion: Release) -> None:
    assert Release.objects.filter(pk=champion.pk).move(Release.Status.RETIRED)
    assert the_error("releases") == "There is no champion: every photo waits for a clinician."


# Machine ----------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_away(photo: Prediction, settings: Any) -> None:
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert the_error("broker").startswith("The broker does not answer: ")


def test_no_worker(photo: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_app.control, "inspect", lambda **_: SimpleNamespace(ping=lambda: None))
    assert the_error("worker") == "No worker answers within 3 s."


def test_a_migration_that_is_not_applied_ends_the_reading_of_rows(photo: Prediction) -> None:
    recorder = MigrationRecorder(connection)
    last = recorder.migration_qs.filter(app="sessions").latest("pk")
    recorder.record_unapplied("sessions", last.name)
    storage.path(photo.image.stored_name).unlink()
    assert the_error("database") == f"Migrations are not applied: sessions.{last.name}."


def test_a_disk_that_is_nearly_full(photo: Prediction, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**11, 10**11 - 4 * 10**8, 4 * 10**8))
    assert the_error("disk") == f"Only 0.4 GB are free at {settings.DATA_DIR}."


def test_several_damages_are_all_told_in_words_too(
    photo: Prediction, champion: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    storage.path(photo.image.stored_name).unlink()
    flip_a_byte(store.folder_of(champion) / "embed.onnx")
    with pytest.raises(SystemExit):
        call_command("doctor", "--no-color")
    lines = capsys.readouterr().out.splitlines()
    wrong = [line for line in lines if line.startswith("error")]
    assert len(wrong) == 2 and photo.image.stored_name in wrong[0] and "embed.onnx" in wrong[1]
    assert wrong[0].endswith("Restore this file from a backup.")


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def make_old(path: Path) -> None:
    moment = (timezone.now() - LONG_AGO).timestamp()
    os.utime(path, (moment, moment))


def exchange_golden_answers(folder: Path) -> None:
    """Make an intact release whose golden photos are answered as those of another machine."""
    golden = json.loads((folder / "golden.json").read_text())
    first, second = golden["cases"][:2]
    first["expect"], second["expect"] = second["expect"], first["expect"]
    write_json(folder / "golden.json", golden)
    data = (folder / "golden.json").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["golden.json"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    write_json(folder / "manifest.json", manifest)


def test_without_a_backup_doctor_says_so(photo: Prediction, champion: Release, settings: Any) -> None:
    backed_up(hours_ago=100)
    assert examine() == (0, []), "backups are made by hand here"
    settings.BACKUP_REPOSITORY = "/mnt/backup"
    assert the_error("backup") == "The last backup is 100 hours old."
    (settings.DATA_DIR / "backup" / "last.json").unlink()
    assert the_error("backup") == "There is no backup."
    settings.BACKUP_REPOSITORY = ""
    assert the_note("backup") == "There is no backup."
