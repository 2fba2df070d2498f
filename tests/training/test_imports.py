"""Labelled photos sent as an archive in the browser: a dry run, a decision, and a report that stays."""

import hashlib
import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cataract.core.audit.models import Act, AuditEntry
from predictions.answering.models import Disclosure
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from review.labels.models import Label
from tests.factories import PredictionFactory, UserFactory
from tests.training.makers import label_photo, photo_bytes
from training.imports import archive, tasks, worker
from training.imports.models import PhotoImport

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/training/imports/"


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(tasks.run_import, "delay", sent.append)
    monkeypatch.setattr("cataract.core.broker.nudge._in_background", lambda publish: publish())
    return sent


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(username="admin", roles=["admin"]))
    return client


def zipped(files: dict[str, bytes]) -> SimpleUploadedFile:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return SimpleUploadedFile("eyes.zip", body.getvalue(), "application/zip")


def small_set() -> dict[str, bytes]:
    """Two training photos, two test photos of which one is also in the training folder, and a broken file."""
    normal, cataract, other = (photo_bytes(11, "normal"), photo_bytes(12, "cataract"), photo_bytes(13, "cataract"))
    return {
        "eyes/train/normal/a.png": normal,
        "eyes/train/cataract/b.png": cataract,
        "eyes/test/normal/copy of a.png": normal,
        "eyes/test/cataract/c.png": other,
        "eyes/train/normal/broken.png": b"no photo",
    }


def send(client: Client, files: dict[str, bytes], **options: str) -> Any:
    form = {"labelled": "on", "split_from_folders": "on", "consent": "on", **options}
    return client.post(LIST, {"archive": zipped(files), **{k: v for k, v in form.items() if v}})


def page_of(client: Client, row: PhotoImport) -> str:
    return client.get(reverse("training:import", args=[row.pk])).content.decode()


def test_a_dry_run_says_what_an_import_would_do_and_stores_nothing(
    admin: Client, champion: Release, published: list[str]
) -> None:
    answer = send(admin, small_set())
    row = PhotoImport.objects.get()
    assert answer["Location"] == reverse("training:import", args=[row.pk]) and published == [str(row.pk)]
    assert "Dry run" in page_of(admin, row) and 'http-equiv="refresh"' in page_of(admin, row)
    worker.run_import(str(row.pk))
    page = page_of(admin, row)
    assert not EyeImage.objects.exists() and not Label.objects.exists()
    assert (
        "Waits for your decision" in page and "Leaks: the same picture in the training and the test folder: 1" in page
    )
    assert "eyes/train/normal/broken.png: refused" in page
    assert "hx-get" not in page, "a poll stops itself"


def test_the_import_keeps_its_report_and_agrees_with_the_dry_run(
    admin: Client, champion: Release, published: list[str]
) -> None:
    send(admin, small_set())
    row = PhotoImport.objects.get()
    worker.run_import(str(row.pk))
    assert admin.post(reverse("training:import", args=[row.pk]), {"import": "1"}).status_code == 302
    assert published == [str(row.pk)] * 2
    worker.run_import(str(row.pk))
    row.refresh_from_db()
    assert row.status == "done"
    for count in ("stored", "known", "labelled", "refused", "excluded", "leaks", "near_duplicates", "elsewhere"):
        assert row.report[count] == row.plan[count], count
    assert row.report["elsewhere"] == [["train", "test", "it was stored before", 1]]
    assert EyeImage.objects.count() == 3 and Label.objects.count() == 3
    assert set(EyeImage.objects.values_list("may_train", "source")) == {(True, "import")}
    assert "What the import did" in page_of(admin, row)
    assert not archive.folder_of(row.pk).exists(), "the archive is not kept"
    acts = AuditEntry.objects.filter(act=Act.ADMIN_CHANGED, object=str(row.pk)).values_list("detail__what", flat=True)
    assert set(acts) == {"sent photos to import", "imported photos"}
    assert admin.post(reverse("training:import", args=[row.pk]), {"import": "1"}).status_code == 409


def test_a_second_import_of_the_same_photos_is_foreseen(admin: Client, champion: Release) -> None:
    files = {name: data for name, data in small_set().items() if "test" not in name}
    for _ in range(2):
        send(admin, files)
        row = PhotoImport.objects.first()
        assert row is not None
        worker.run_import(str(row.pk))
        admin.post(reverse("training:import", args=[row.pk]), {"import": "1"})
        worker.run_import(str(row.pk))
    row = PhotoImport.objects.first()
    assert row is not None
    assert (row.plan["stored"], row.plan["known"], row.report["stored"], row.report["known"]) == (0, 2, 0, 2)


def test_whoever_sees_a_label_on_record_in_a_report_reads_its_photo_no_more(admin: Client, champion: Release) -> None:
    stored = label_photo("normal", "train", 12).image  # the archive calls it a cataract
    EyeImage.objects.filter(pk=stored.pk).update(sha256=hashlib.sha256(photo_bytes(12, "cataract")).hexdigest())
    PredictionFactory.create(image=stored)
    send(admin, {"train/cataract/b.png": photo_bytes(12, "cataract")})
    row = PhotoImport.objects.get()
    worker.run_import(str(row.pk))
    auditor = Client()
    auditor.force_login(UserFactory.create(username="auditor", roles=["auditor"]))
    assert "NOT labelled cataract: the label on record is normal" in page_of(auditor, row)
    assert Disclosure.objects.filter(user__username="auditor", image=stored).exists()


def test_a_discarded_import_leaves_nothing(admin: Client, champion: Release) -> None:
    send(admin, small_set())
    row = PhotoImport.objects.get()
    worker.run_import(str(row.pk))
    admin.post(reverse("training:import", args=[row.pk]), {"discard": "1"})
    row.refresh_from_db()
    assert row.status == "cancelled" and not archive.folder_of(row.pk).exists()
    worker.run_import(str(row.pk))
    assert not EyeImage.objects.exists()


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ({"a.png": b"x"}, {"consent": ""}, "This field is required"),
        ({"a.zip": b"x"}, {}, "contains another archive"),
        ({}, {}, "There is no photo in the archive"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_words(
    admin: Client, files: dict[str, bytes], options: dict[str, str], words: str
) -> None:
    answer = send(admin, files, **options)
    assert answer.status_code == 422 and words in answer.content.decode()
    assert not PhotoImport.objects.exists()


def test_an_archive_without_labels_fails_with_the_reason(admin: Client, champion: Release) -> None:
    send(admin, {"somewhere/a.png": photo_bytes(11, "normal")})
    row = PhotoImport.objects.get()
    worker.run_import(str(row.pk))
    assert "there is no label to read" in page_of(admin, row) and "Failed" in page_of(admin, row)


def test_a_lost_worker_is_replaced_and_after_several_the_import_fails(
    admin: Client, champion: Release, published: list[str]
) -> None:
    send(admin, small_set())
    row = PhotoImport.objects.get()
    PhotoImport.objects.update(attempts=1, lease_until=timezone.now() + timedelta(minutes=5))
    worker.sweep(publish=published.append)
    assert published == [str(row.pk)], "its worker may be alive"
    PhotoImport.objects.update(lease_until=timezone.now())
    worker.sweep(publish=published.append)
    assert published == [str(row.pk)] * 2
    PhotoImport.objects.update(attempts=worker.MAX_ATTEMPTS)
    worker.sweep(publish=published.append)
    row.refresh_from_db()
    assert row.status == "failed" and "lost several times" in row.error


def test_auditors_look_and_others_see_nothing(client: Client, champion: Release, tmp_path: Path) -> None:
    for role, get in (("auditor", 200), ("screener", 403), ("reader", 403)):
        client.force_login(UserFactory.create(roles=[role]))
        assert client.get(LIST).status_code == get
        assert send(client, small_set()).status_code == 403
    assert not PhotoImport.objects.exists()
