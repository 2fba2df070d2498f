"""Deletion: trash, restore, purge, two persons, legal hold, retention periods; nothing is ever half deleted."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from cataract.core.failpoints import PURGE_POINTS
from predictions.answering.models import Prediction
from predictions.embeddings.models import Embedding
from predictions.photos import storage
from predictions.photos import worker as photos
from predictions.photos.models import EyeImage, VisualWord
from predictions.releases.models import Release
from predictions.retention import services, worker
from predictions.retention.models import Deletion, LegalHold
from predictions.sites.models import Patient, Site
from review.cases.models import ReviewCase
from review.labels.models import Label
from review.queue import worker as queue
from tests.factories import EyeImageFactory, LabelFactory, PredictionFactory, UserFactory, jpeg_bytes
from tests.record import lifted
from tests.system import BASE_DIR, System
from training.datasets.selectors import unlabelled_photos, usable_labels

pytestmark = pytest.mark.django_db
WHY = {"reason": "asked for by the patient"}


def signed_in(*roles: str) -> Client:
    client = Client()
    client.force_login(UserFactory.create(roles=roles))
    return client


def send(client: Client, seed: int = 1, patient: str = "P-1") -> Any:
    photo = SimpleUploadedFile(f"Mrs Example {seed}.jpg", jpeg_bytes(seed), "image/jpeg")
    return client.post("/api/v1/predictions", {"photo": photo, "patient": patient, "eye": "OD"})


def delete(client: Client, image_id: Any) -> Deletion:
    assert client.post(f"/deletions/new/?photo={image_id}", WHY).status_code == 302
    return Deletion.objects.latest("requested_at")


def purge(deletion: Deletion) -> None:
    Deletion.objects.filter(pk=deletion.pk).update(purge_after=timezone.now())
    assert worker.sweep() == 1


def everything_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_photo_in_the_trash_is_seen_nowhere_and_can_be_restored(champion: Release) -> None:
    sender, admin, reader = signed_in("screener"), signed_in("admin"), signed_in("adjudicator", "reader")
    sent = send(sender).json()
    photos.sweep()
    image = EyeImage.objects.get()
    LabelFactory.create(image=image)
    other = PredictionFactory.create(image__patient_key="P-2", image__split="train")
    ReviewCase.objects.all().delete()
    with lifted():
        Prediction.objects.filter(image=image).update(needs_review=True, reasons=["uncertain"], review_propensity=1)
    queue.sweep()
    case = ReviewCase.objects.get(image=image)
    Embedding.objects.get_or_create(image=image, encoder=champion.encoder, defaults={"vector": b"\0" * 8})
    addresses = [
        (sender, f"/results/{sent['id']}/"),
        (sender, f"/photos/{image.pk}/view/"),
        (sender, f"/photos/{image.pk}/thumb/"),
        (sender, f"/api/v1/predictions/{sent['id']}"),
        (sender, f"/api/v1/predictions/{sent['id']}/fhir"),
        (sender, f"/api/v1/predictions/{sent['id']}/similar"),
        (sender, f"/consent/?photo={image.pk}"),
        (sender, f"/deletions/new/?photo={image.pk}"),
        (admin, f"/photos/{image.pk}/original/"),
        (reader, f"/review/cases/{case.pk}/"),
        (reader, f"/review/cases/{case.pk}/photo/"),
        (reader, f"/api/v1/review/cases/{case.pk}"),
    ]
    lists = [
        (sender, "/uploads/"),
        (sender, "/api/v1/predictions"),
        (admin, "/uploads/"),
        (admin, "/api/v1/predictions?changed_since=2020-01-01T00:00:00Z"),
        (admin, "/admin/predictions/eyeimage/"),
        (admin, "/admin/predictions/prediction/"),
        (admin, "/admin/review/reviewcase/"),
        (admin, "/admin/review/label/"),
        (admin, "/review/labels/export/?format=jsonl"),
        (reader, "/review/worklist/"),
    ]
    names = {str(image.pk), sent["id"], str(case.pk), str(case.pk)[:8], image.sha256[:12]}

    def listed() -> set[str]:
        return {
            address
            for client, address in lists
            if any(name in b"".join(client.get(address)).decode() for name in names)
        }

    before = {address: client.get(address).status_code for client, address in addresses}
    assert listed() == {address for _, address in lists}
    assert usable_labels().exists()
    deletion = delete(sender, image.pk)
    assert deletion.status == Deletion.Status.TRASHED
    found = {address: client.get(address).status_code for client, address in addresses}
    assert set(found.values()) == {404}, found
    assert listed() == set()
    assert not usable_labels().exists() and set(unlabelled_photos(timezone.now())) == {other.image}
    again = send(sender)
    assert (again.status_code, again.json()["code"]) == (409, "photo_in_trash")
    assert "P-1" not in sender.get("/uploads/").content.decode()
    assert "Restore" in sender.get("/deletions/").content.decode()
    assert sender.post(f"/deletions/{deletion.pk}/restore/").status_code == 302
    assert {address: client.get(address).status_code for client, address in addresses} == before
    assert listed() == {address for _, address in lists} and usable_labels().exists()


def test_a_purge_leaves_a_tombstone_and_no_byte(champion: Release, tmp_path: Path) -> None:
    sender = signed_in("screener")
    sent = send(sender).json()
    image = EyeImage.objects.get()
    label = LabelFactory.create(image=image)
    photos.sweep()
    assert VisualWord.objects.filter(image=image).exists()
    sender.get(f"/photos/{image.pk}/thumb/")
    original = storage.read(image.stored_name)
    assert len(everything_below(storage.path(""))) == 2
    deletion = delete(sender, image.pk)
    purge(deletion)
    assert everything_below(storage.path("")) == []
    for path in everything_below(tmp_path):
        assert image.stored_sha256 not in path.name and original not in path.read_bytes(), path
    gone = EyeImage.objects.get()
    assert (gone.status, gone.patient, gone.eye, gone.original_name, gone.may_train) == ("purged", None, "", "", False)
    assert gone.sha256 == image.sha256
    assert not Embedding.objects.exists() and not VisualWord.objects.exists()
    assert Prediction.objects.filter(pk=sent["id"], decision__gt="").exists(), "counts and evidence stay"
    assert Label.objects.filter(pk=label.pk).exists() and not Label.objects.training().exists()
    assert sender.get(f"/results/{sent['id']}/").status_code == 404
    assert send(sender).status_code == 201, "the same bytes are a new photo now"
    assert EyeImage.objects.kept().get().pk != gone.pk
    assert Deletion.objects.get().status == Deletion.Status.PURGED
    assert sender.post(f"/deletions/{deletion.pk}/restore/", follow=True).content.decode().count("no longer open") == 1
    assert not EyeImage.objects.filter(pk=gone.pk, status="kept").exists()


def test_a_file_that_another_photo_shares_stays_until_that_is_purged_too() -> None:
    name, digest = storage.store(b"the same content", suffix=".jpg")
    shared = [EyeImageFactory.create(stored_name=name, stored_sha256=digest) for _ in range(2)]
    for photo, left in zip(shared, (True, False), strict=True):
        purge(delete(signed_in("admin"), photo.pk))
        assert storage.path(name).exists() is left


def test_a_whole_patient_loses_the_pseudonym_with_the_purge(champion: Release) -> None:
    sender = signed_in("screener")
    for seed in (1, 2):
        send(sender, seed)
    patient = Patient.objects.get()
    assert "Delete patient P-1" in sender.get(f"/deletions/new/?patient={patient.pk}").content.decode()
    assert sender.post(f"/deletions/new/?patient={patient.pk}", WHY).status_code == 302
    purge(Deletion.objects.get())
    assert EyeImage.objects.filter(status="purged", patient=None).count() == 2
    assert not Patient.objects.filter(key="P-1").exists()
    assert "P-1" not in sender.get("/deletions/").content.decode()
    send(sender, 3)
    assert Patient.objects.get(key="P-1").pk != patient.pk


def test_two_persons_delete_where_the_site_asks_for_it() -> None:
    Site.objects.create(name=Site.FIRST_NAME, deletion_needs_two=True)
    photo = EyeImageFactory.create()
    admin, second, screener = signed_in("admin"), signed_in("admin"), signed_in("screener")
    deletion = delete(admin, photo.pk)
    assert deletion.status == Deletion.Status.REQUESTED and EyeImage.objects.kept().exists()
    address = f"/deletions/{deletion.pk}/confirm/"
    assert "Another person" in admin.post(address, follow=True).content.decode()
    assert screener.post(address).status_code == 403
    assert EyeImage.objects.kept().exists()
    assert "already, or its deletion waits" in admin.post(f"/deletions/new/?photo={photo.pk}", WHY).content.decode()
    assert second.post(address).status_code == 302
    assert not EyeImage.objects.kept().exists()
    assert "no longer open" in second.post(address, follow=True).content.decode()


def test_a_request_can_be_cancelled() -> None:
    Site.objects.create(name=Site.FIRST_NAME, deletion_needs_two=True)
    client = signed_in("admin")
    deletion = delete(client, EyeImageFactory.create().pk)
    client.post(f"/deletions/{deletion.pk}/cancel/")
    deletion.refresh_from_db()
    assert deletion.status == Deletion.Status.CANCELLED and deletion.ended_at is not None
    assert EyeImage.objects.kept().exists()


def test_a_legal_hold_stops_deletion_retention_and_purge() -> None:
    site = Site.objects.create(name=Site.FIRST_NAME, retention_days=10)
    old = timezone.now() - timedelta(days=11)
    held = EyeImageFactory.create(patient_key="P-1", created_at=old)
    free = EyeImageFactory.create(patient_key="P-2", created_at=old)
    EyeImageFactory.create(patient_key="P-3")
    admin = signed_in("admin")
    values = {"patient": held.patient_id, "reason": "a court asked"}
    assert admin.post("/admin/predictions/legalhold/add/", values).status_code == 302
    assert admin.post(f"/deletions/new/?photo={held.pk}", WHY).status_code == 422
    assert admin.post(f"/deletions/new/?patient={held.patient_id}", WHY).status_code == 422
    worker.apply_retention()
    assert set(EyeImage.objects.deleted()) == {free}
    deletion = Deletion.objects.get()
    assert (deletion.kind, deletion.site) == ("retention", site)
    hold = admin.post("/api/v1/legal-holds", {"patient": str(free.patient_id), "reason": "another case"})
    assert hold.status_code == 201
    Deletion.objects.update(purge_after=old)
    assert worker.sweep() == 0 and EyeImage.objects.in_status("trashed").exists()
    assert admin.post(f"/api/v1/deletions/{deletion.pk}/purge").json()["code"] == "on_hold"
    lifted = admin.post(f"/api/v1/legal-holds/{hold.json()['id']}/lift", {"reason": "closed"})
    assert lifted.json()["lifted_at"]
    assert worker.sweep() == 1
    row = LegalHold.objects.standing().get()
    change = f"/admin/predictions/legalhold/{row.pk}/change/"
    assert admin.post(change, {"lift_reason": ""}).status_code == 200, "a reason is needed"
    assert admin.post(change, {"lift_reason": "closed"}).status_code == 302
    assert not LegalHold.objects.standing().exists()


def test_the_commands_apply_retention_purge_and_delete_a_patient(capsys: Any) -> None:
    name, _ = storage.store(b"content", suffix=".jpg")
    EyeImageFactory.create(patient_key="P-1", stored_name=name)
    call_command("delete_patient", "P-1", site=Site.FIRST_NAME, reason="asked", purge=True)
    assert "1 photos are purged" in capsys.readouterr().out and not storage.path(name).exists()
    Site.objects.update(retention_days=5)
    EyeImageFactory.create(created_at=timezone.now() - timedelta(days=6))
    call_command("purge")
    assert "periods: 1 photos" in capsys.readouterr().out
    Deletion.objects.filter(status="trashed").update(purge_after=timezone.now())
    call_command("purge")
    assert "Deletions purged: 1" in capsys.readouterr().out


def test_the_api_deletes_restores_and_refuses_what_is_not_there() -> None:
    admin = signed_in("admin")
    photo = EyeImageFactory.create()
    made = admin.post("/api/v1/deletions", {"images": [str(photo.pk)], **WHY}, "application/json")
    assert (made.status_code, made.json()["status"]) == (201, "trashed")
    assert admin.get("/api/v1/deletions").json()["results"][0]["images"] == [str(photo.pk)]
    restored = admin.post(f"/api/v1/deletions/{made.json()['id']}/restore").json()
    assert restored["status"] == "restored" and EyeImage.objects.kept().exists()
    assert admin.post("/api/v1/deletions", WHY, "application/json").status_code == 422
    stranger = signed_in("screener")
    refused = stranger.post("/api/v1/deletions", {"images": [str(photo.pk)], **WHY}, "application/json")
    assert refused.status_code == 404


def test_a_prediction_that_waits_is_answered_after_a_restore_and_never_after_a_purge(champion: Release) -> None:
    from predictions.answering import worker as answering

    photo = EyeImageFactory.create()
    waiting = PredictionFactory.create(
        image=photo, status="queued", decision="", needs_review=False, reasons=[], done_at=None, review_propensity=None
    )
    deletion = delete(signed_in("admin"), photo.pk)
    assert not answering.run_prediction(waiting.pk)
    assert not answering.waiting().exists()
    purge(deletion)
    waiting.refresh_from_db()
    assert waiting.status == "failed" and "deleted" in waiting.error
    queue.sweep()
    assert not ReviewCase.objects.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"status": "purged", "removed_at": timezone.now()},
        {"status": "trashed"},
        {"removed_at": timezone.now()},
        {"status": "hidden", "removed_at": timezone.now()},
        {"stored_name": ""},
    ],
)
def test_the_database_refuses_a_photo_in_no_state(values: dict[str, Any]) -> None:
    photo = EyeImageFactory.create(patient_key="P-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        EyeImage.objects.filter(pk=photo.pk).update(**values)


@pytest.mark.parametrize(
    "values", [{"status": "trashed"}, {"status": "purged"}, {"status": "gone"}, {"reason": ""}, {"kind": "patient"}]
)
def test_the_database_refuses_a_deletion_in_no_state(values: dict[str, Any]) -> None:
    deletion = Deletion.objects.create(kind="photos", site=Site.objects.default(), reason="why")
    with pytest.raises(IntegrityError), transaction.atomic():
        Deletion.objects.filter(pk=deletion.pk).update(**values)


def test_no_move_leads_back_from_a_purge() -> None:
    photo = EyeImageFactory.create()
    services.delete_photos(photos=EyeImage.objects.all(), reason="why", user=None)
    rows = EyeImage.objects.filter(pk=photo.pk)
    assert rows.move("purging", removed_at=timezone.now()) == 1
    assert rows.move("kept", removed_at=None) == rows.move("trashed") == 0


SET_UP = """
from django.utils import timezone
from predictions.photos import storage
from predictions.photos import worker as photos
from predictions.photos.models import EyeImage, VisualWord
from predictions.photos.facts import PhotoFacts
from predictions.answering import services as answering
from predictions.retention import services
from predictions.retention.models import Deletion
from tests.factories import jpeg_bytes
answering.upload_photo(data=jpeg_bytes(1), user=None, source="api", facts=PhotoFacts("P-1", "OD"))
image = EyeImage.objects.get()
storage.derivative(image.stored_name, "thumb", lambda data: data)
services.delete_photos(photos=EyeImage.objects.all(), reason="why", user=None)
Deletion.objects.update(purge_after=timezone.now())
"""
PURGE = "from predictions.retention import worker; worker.sweep()"
SEEN = """
from predictions.photos.models import EyeImage
print(EyeImage.objects.kept().count())
"""
STATE = """
from pathlib import Path
from django.conf import settings
from predictions.photos.models import EyeImage
from predictions.retention.models import Deletion
files = [path for path in Path(settings.PHOTO_DIR).rglob("*") if path.is_file()]
image = EyeImage.objects.get()
print(image.status, image.patient, Deletion.objects.get().status, len(files))
"""


@pytest.mark.parametrize("point", PURGE_POINTS)
def test_a_crash_in_a_purge_hides_the_photo_and_the_next_sweep_ends_it(
    point: str, tmp_path: Path, migrated: Path
) -> None:
    system = System(tmp_path, FAULT_INJECTION="1")
    system.take_database(migrated)
    system.python(SET_UP)
    killed = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {PURGE}"],
        cwd=BASE_DIR,
        env={**system.env, "FAILPOINT": point},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert system.python(SEEN) == "0"
    assert system.python(PURGE + "\n" + STATE) == "purged None purged 0"
