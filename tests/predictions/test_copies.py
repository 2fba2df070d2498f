"""A cropped or turned copy joins its original within seconds of its upload, and the upload pays nothing for it."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from PIL import Image

from cataract.core import tokens
from cataract.ops import doctor
from predictions.corrections.services import correct_patient
from predictions.photos import storage, worker
from predictions.photos.models import EyeImage, VisualWord, WrongPatientCheck
from tests.factories import ClusterFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def asker() -> Client:
    user: User = UserFactory.create(roles=["screener"])
    _, key = tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(client: Client, data: bytes, patient: str) -> EyeImage:
    photo = SimpleUploadedFile("eye.jpg", data, "image/jpeg")
    answer = client.post("/api/v1/predictions", {"patient": patient, "eye": "OD", "photo": photo})
    assert answer.status_code == 201, answer.content
    return EyeImage.objects.latest("created_at")


def cropped(data: bytes, *, degrees: float = 0) -> bytes:
    """The picture cut to 80 %, away from its middle, and turned."""
    picture = Image.open(BytesIO(data))
    width, height = picture.size
    file = BytesIO()
    part = picture.crop((int(0.16 * width), int(0.02 * height), int(0.96 * width), int(0.82 * height)))
    part.rotate(degrees, resample=Image.Resampling.BICUBIC).save(file, "JPEG", quality=88)
    return file.getvalue()


def test_a_cropped_copy_of_another_patients_photo_asks_whose_it_is(asker: Client, champion: Any) -> None:
    first = send(asker, jpeg_bytes(1), "P-1")
    copy = send(asker, cropped(jpeg_bytes(1), degrees=7), "P-2")
    assert copy.near_duplicate_of is None and copy.cluster_id != first.cluster_id, "no hash finds it"
    worker.sweep()
    copy.refresh_from_db()
    first.refresh_from_db()
    assert copy.near_duplicate_of == first and copy.cluster_id == first.cluster_id
    check = WrongPatientCheck.objects.get()
    assert (check.image, check.twin, check.status) == (copy, first, "open")
    address = f"/api/v1/predictions/{copy.predictions.get().pk}"
    assert asker.get(address).json()["image"]["wrong_patient_check"] == "open"
    assert worker.sweep() == 0, "each photo is compared once"


def test_a_copy_in_another_split_is_left_out_and_its_original_keeps_its_side(asker: Client, champion: Any) -> None:
    first = send(asker, jpeg_bytes(1), "P-1")
    copy = send(asker, cropped(jpeg_bytes(1)), "")
    for photo, split in ((first, "train"), (copy, "test")):
        EyeImage.objects.filter(pk=photo.pk).update(split=split, cluster=ClusterFactory.create(split=split))
    worker.sweep()
    first.refresh_from_db()
    copy.refresh_from_db()
    assert copy.cluster_id == first.cluster_id
    assert (first.split, first.cluster.split, copy.split) == ("train", "train", "excluded")


def test_the_search_costs_the_upload_no_query(asker: Client, champion: Any) -> None:
    send(asker, jpeg_bytes(1), "P-1")
    worker.sweep()
    with CaptureQueriesContext(connection) as asked:
        send(asker, cropped(jpeg_bytes(1)), "P-2")
    words = VisualWord._meta.db_table
    assert not [query["sql"] for query in asked if words in query["sql"]]
    copy = EyeImage.objects.waiting_for_comparison().get()
    with CaptureQueriesContext(connection) as asked:
        worker.compare(copy)
    assert len(asked) <= 40, "a bounded number, however many photos are stored"


def test_photos_of_an_earlier_version_are_compared_and_doctor_says_how_many_wait(asker: Client, champion: Any) -> None:
    send(asker, jpeg_bytes(1), "P-1")
    lost = send(asker, jpeg_bytes(2), "P-2")
    storage.path(lost.stored_name).unlink()
    assert next(doctor.check_copies()).level == "ok", "new photos may wait some minutes"
    EyeImage.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    assert "2 photos are yet to be compared" in next(doctor.check_copies()).message
    worker.sweep()
    assert next(doctor.check_copies()).level == "ok", "a photo whose file is lost holds up no other"
    assert set(VisualWord.objects.values_list("image", flat=True)) == set(
        EyeImage.objects.exclude(pk=lost.pk).values_list("pk", flat=True)
    )


def test_a_corrected_photo_is_compared_again(asker: Client, champion: Any) -> None:
    first = send(asker, jpeg_bytes(1), "P-1")
    copy = send(asker, cropped(jpeg_bytes(1)), "P-2")
    worker.sweep()
    copy.refresh_from_db()
    correct_patient(image=copy, patient_key="P-3", reason="Typed wrong.", user=UserFactory.create(roles=["screener"]))
    copy.refresh_from_db()
    assert copy.compared_at is None, "no hash holds it in the cluster of its original"
    worker.sweep()
    copy.refresh_from_db()
    first.refresh_from_db()
    assert copy.cluster_id == first.cluster_id


def test_drawn_eyes_of_different_people_stay_apart(asker: Client, champion: Any) -> None:
    for seed in (1, 2, 3):
        send(asker, jpeg_bytes(seed), f"P-{seed}")
    worker.sweep()
    assert EyeImage.objects.values("cluster").distinct().count() == 3 and not WrongPatientCheck.objects.exists()
