"""What a screener is promised on the upload and result pages."""

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from predictions.answering.models import Disclosure, Prediction
from predictions.photos.models import EyeImage
from tests import photos
from tests.factories import DeviceFactory, SiteFactory, UserFactory, jpeg_bytes
from tests.record import lifted

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def screener(client: Client) -> Client:
    client.force_login(UserFactory.create(roles=["screener"]))
    return client


def send(client: Client, data: bytes = b"", *, name: str = "eye.jpg", htmx: bool = False, **fields: Any) -> Any:
    photo = SimpleUploadedFile(name, data or jpeg_bytes(1), "image/jpeg")
    values = {"patient_key": "P-1", "eye": "OD", "key": str(uuid.uuid4()), "photo": photo, **fields}
    sent = {name: value for name, value in values.items() if value is not None}
    return client.post("/upload/", sent, headers=HTMX if htmx else {})


def test_a_photo_is_answered_in_the_same_request(screener: Client, champion: Any) -> None:
    answer = send(screener, jpeg_bytes(1, opacity=1.0))
    assert answer.status_code == 303
    prediction = Prediction.objects.get()
    assert prediction.status == "done" and prediction.release_id == champion.pk
    page = screener.get(answer["Location"]).content.decode()
    assert "cataract" in page and champion.pk in page and "Not a diagnosis" in page
    assert f"/photos/{prediction.image_id}/view/" in page


def test_with_htmx_the_result_comes_into_the_page(screener: Client, champion: Any) -> None:
    answer = send(screener, htmx=True)
    prediction = Prediction.objects.get()
    assert answer.status_code == 200 and answer["HX-Push-Url"] == f"/results/{prediction.pk}/"
    assert "<html" not in answer.content.decode() and 'id="work"' in answer.content.decode()


def test_everything_about_the_photo_is_on_record(screener: Client, champion: Any) -> None:
    SiteFactory.create()
    site = SiteFactory.create(name="Clinic 1")
    device = DeviceFactory.create(site=site, name="Phone 1")
    send(screener, site=site.pk, device=device.pk, name="C:\\eyes\\\u202egpj.right.jpg")
    image, prediction = EyeImage.objects.get(), Prediction.objects.get()
    assert (image.patient_key, image.eye, image.site, image.device) == ("P-1", "OD", site, device)
    assert image.original_name == "gpj.right.jpg" and image.source == "upload" and not image.may_train
    assert image.split == image.cluster.split and len(image.perceptual_hash) == 16
    assert prediction.route and prediction.policy_version and prediction.timings["total"] > 0
    assert prediction.fast_score is not None and prediction.fast_probability is not None
    assert 0 < (prediction.review_propensity or 0) <= 1
    assert image.embeddings.count() == 1


def test_showing_a_result_is_recorded(screener: Client, champion: Any) -> None:
    answer = send(screener)
    assert not Disclosure.objects.exists()
    for _ in range(2):
        screener.get(answer["Location"])
    assert Disclosure.objects.count() == 1


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"not a photo at all" * 50, 415, "JPEG, PNG or WebP"),
        (jpeg_bytes(1)[: len(jpeg_bytes(1)) // 2], 422, "Only part of the photo arrived"),
        (b"GIF89a" + b"\x00" * 200, 415, "GIF"),
    ],
)
def test_a_bad_photo_is_refused_in_words_and_leaves_nothing(
    screener: Client, champion: Any, data: bytes, status: int, words: str, settings: Any
) -> None:
    answer = send(screener, data)
    page = answer.content.decode()
    assert answer.status_code == status and words in page
    assert 'value="P-1"' in page and 'id="photo-error"' in page and "aria-describedby" in page
    assert send(screener, data, htmx=True).status_code == 200
    assert not EyeImage.objects.exists() and not Prediction.objects.exists()
    assert not [file for file in Path(settings.PHOTO_DIR).rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"photo": None}, 400, "Choose or take a photo."),
        ({"eye": None}, 422, "Choose which eye it is."),
        ({"eye": "middle"}, 422, "middle"),
        ({"patient_key": ""}, 422, "Enter the patient"),
        ({"patient_key": "Anna Smith"}, 422, "pseudonym"),
        ({"patient_key": "P\x00"}, 422, "Null characters are not allowed."),
    ],
)
def test_a_bad_field_is_named(screener: Client, fields: dict[str, Any], status: int, words: str) -> None:
    answer = send(screener, **fields)
    assert answer.status_code == status and words in answer.content.decode()
    assert not EyeImage.objects.exists()


def test_two_photos_in_one_form_are_refused(screener: Client) -> None:
    photos = [SimpleUploadedFile(f"{n}.jpg", jpeg_bytes(n), "image/jpeg") for n in (1, 2)]
    answer = send(screener, photo=photos)
    assert answer.status_code == 400 and "one photo at a time" in answer.content.decode()


def test_the_same_photo_again(screener: Client, champion: Any) -> None:
    send(screener)
    first = Prediction.objects.get()
    again = send(screener)
    assert again.status_code == 409 and f"/results/{first.pk}/" in again.content.decode()
    other = send(screener, patient_key="P-2")
    assert other.status_code == 409 and "another patient" in other.content.decode()
    both = send(screener, eye="OS")
    assert both.status_code == 409 and "other eye" in both.content.decode()
    assert Prediction.objects.count() == EyeImage.objects.count() == 1
    assert send(screener, send_anyway="on").status_code == 303
    assert Prediction.objects.count() == 2 and EyeImage.objects.count() == 1


def test_a_double_click_is_one_photo(screener: Client, champion: Any) -> None:
    key = str(uuid.uuid4())
    assert send(screener, key=key)["Location"] == send(screener, key=key)["Location"]
    assert Prediction.objects.count() == 1


def test_dicom_is_offered_and_taken_where_it_is_accepted(screener: Client, champion: Any, settings: Any) -> None:
    for address in ("/upload/", "/batches/"):
        assert b"application/dicom,.dcm" in screener.get(address).content
    assert send(screener, photos.dicom(photos.eye()), name="slit.dcm").status_code == 303
    assert EyeImage.objects.get().format == "DICOM"
    settings.ACCEPT_DICOM = False
    page = screener.get("/upload/").content
    assert b"dicom" not in page.lower() and b'accept="image/jpeg,image/png,image/webp"' in page


def test_without_a_champion_a_person_looks(screener: Client) -> None:
    answer = send(screener)
    prediction = Prediction.objects.get()
    assert (prediction.status, prediction.decision, prediction.reasons) == ("done", "", ["no_champion"])
    assert prediction.needs_review and prediction.review_propensity == 1
    assert "A clinician will review this photo" in screener.get(answer["Location"]).content.decode()


def test_a_damaged_champion_never_guesses(screener: Client, champion: Any, settings: Any) -> None:
    (Path(settings.RELEASE_DIR) / champion.pk / "fast.txt").write_text("tree")
    send(screener)
    assert Prediction.objects.get().reasons == ["no_champion"]


def test_only_the_uploader_sees_a_photo(screener: Client, champion: Any) -> None:
    location = send(screener)["Location"]
    image = EyeImage.objects.get()
    photo = f"/photos/{image.pk}/view/"
    seen = screener.get(photo)
    assert seen.status_code == 200 and seen.content.startswith(b"\xff\xd8")
    assert seen["X-Content-Type-Options"] == "nosniff" and seen["Cache-Control"] == "private, no-store"
    assert seen["Content-Security-Policy"] == "default-src 'none'; sandbox"
    other = Client()
    for address in (location, photo):
        assert other.get(address).status_code == 302
    for role, status in (("screener", 404), ("reader", 404), ("integrator", 404), ("auditor", 200), ("admin", 200)):
        other.force_login(UserFactory.create(roles=[role]))
        assert [other.get(address).status_code for address in (location, photo)] == [status, status], role
        original = other.get(f"/photos/{image.pk}/original/")
        assert original.status_code == (200 if role == "admin" else 404)
    assert "attachment" in original["Content-Disposition"] and original.content.startswith(b"\xff\xd8")


def test_the_list_shows_own_uploads(screener: Client, champion: Any) -> None:
    assert "No photos yet" in screener.get("/uploads/").content.decode()
    send(screener)
    page = screener.get("/uploads/").content.decode()
    assert "P-1" in page and "/thumb/" in page


def test_nobody_uploads_without_the_role(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["reader"]))
    assert client.get("/upload/").status_code == 403
    assert send(client).status_code == 403


def test_a_waiting_page_asks_again_and_stops(screener: Client, champion: Any, settings: Any) -> None:
    settings.INLINE_PREDICTION_SECONDS = 0
    answer = send(screener)
    prediction = Prediction.objects.get()
    if prediction.status == "done":  # the answer was there before the first look at the clock
        with lifted():
            Prediction.objects.filter(pk=prediction.pk).update(status="queued", decision="", done_at=None)
    page = screener.get(answer["Location"]).content.decode()
    assert 'http-equiv="refresh"' in page and "asked=1" in page and "hx-trigger" in page
    last = screener.get(answer["Location"] + "?asked=60").content.decode()
    assert 'http-equiv="refresh"' not in last and "longer than usual" in last


@pytest.mark.photos
def test_a_real_photo(screener: Client, champion: Any, eyes: Path) -> None:
    path = sorted(file for file in (eyes / "test" / "cataract").iterdir() if file.is_file())[0]
    answer = send(screener, path.read_bytes(), name="real" + path.suffix)
    assert answer.status_code == 303
    page = screener.get(answer["Location"]).content.decode()
    assert re.search(r"<h1[^>]*>[^<]+\.</h1>", page)


def test_only_the_upload_page_may_use_the_camera(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["screener"]))
    assert "camera=(self)" in client.get("/upload/")["Permissions-Policy"]
    for address in ("/uploads/", "/batches/", "/patients/", "/accounts/login/"):
        assert "camera=()" in client.get(address)["Permissions-Policy"]
        assert "microphone=()" in client.get(address)["Permissions-Policy"]
