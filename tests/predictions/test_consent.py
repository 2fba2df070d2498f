"""Consent to training: asked in plain sight, changed by the photo's site, recorded, and kept for photos to come."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from predictions.batches.tables import read_table
from predictions.consent.models import ConsentChange
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from predictions.sites.models import Patient, Site
from review.labels.models import Label
from tests.factories import (
    EyeImageFactory,
    LabelFactory,
    PatientFactory,
    PredictionFactory,
    SiteFactory,
    UserFactory,
    jpeg_bytes,
)

pytestmark = pytest.mark.django_db
NO = {"may_train": "no", "reason": "asked at the desk"}


def signed_in(**values: Any) -> Client:
    client = Client()
    client.force_login(UserFactory.create(**values))
    return client


def send(client: Client, seed: int, **fields: Any) -> Any:
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed), "image/jpeg")
    return client.post("/api/v1/predictions", {"photo": photo, "patient": "P-1", "eye": "OD", **fields})


def test_the_form_asks_in_the_open_and_says_what_is_ticked_at_first() -> None:
    client = signed_in(roles=["screener"])
    page = client.get("/upload/").content.decode()
    before, found, _ = page.partition("The models may learn from this photo")
    assert found and before.count("<details") == before.count("</details>"), "not inside a fold"
    assert "Yes unless you untick it" in page
    Site.objects.update(trains_by_default=False)
    assert "No unless you tick it" in client.get("/upload/").content.decode()
    assert "No unless you tick it" in client.get("/batches/").content.decode()


def test_a_photo_without_a_statement_takes_the_default_of_its_site(champion: Release) -> None:
    client = signed_in(roles=["screener"])
    assert send(client, 1).json()["image"]["may_train"] is True
    Site.objects.update(trains_by_default=False)
    assert send(client, 2).json()["image"]["may_train"] is False
    assert send(client, 3, may_train="true").json()["image"]["may_train"] is True


def test_the_uploader_withdraws_the_consent_of_one_photo_and_the_change_is_on_record() -> None:
    user = UserFactory.create(roles=["screener"])
    client = Client()
    client.force_login(user)
    label = LabelFactory.create(image__uploaded_by=user)
    prediction = PredictionFactory.create(image=label.image)
    page = client.get(f"/results/{prediction.pk}/").content.decode()
    address = f"/consent/?photo={label.image_id}"
    assert address in page and "The models may learn from this photo." in page
    assert client.post(address, {"may_train": "no"}).status_code == 422, "a reason is needed"
    assert Label.objects.training().exists()
    assert client.post(address, NO).status_code == 303
    assert not Label.objects.training().exists()
    change = ConsentChange.objects.get()
    assert (change.before, change.after, change.reason, change.by) == (True, False, NO["reason"], user)
    assert NO["reason"] in client.get(address).content.decode()
    assert "may not learn" in client.get(f"/results/{prediction.pk}/").content.decode()
    client.post(address, NO)
    assert ConsentChange.objects.count() == 1, "the same again changes nothing"


def test_users_of_the_site_may_change_it_and_others_may_not() -> None:
    photo = EyeImageFactory.create(site_name="North", patient_key="P-1")
    colleague, stranger = UserFactory.create(roles=["screener"]), UserFactory.create(roles=["screener"])
    SiteFactory.create(name="North").users.add(colleague)
    SiteFactory.create(name="South").users.add(stranger)
    for user, expected in ((colleague, 303), (stranger, 404)):
        client = Client()
        client.force_login(user)
        assert client.post(f"/consent/?photo={photo.pk}", NO).status_code == expected
        patient = client.post(f"/api/v1/patients/{photo.patient_id}/consent", {"may_train": False, "reason": "asked"})
        assert patient.status_code == (200 if expected == 303 else 404)
    assert signed_in(roles=["auditor"]).post(f"/consent/?photo={photo.pk}", NO).status_code == 403
    assert signed_in(roles=["reader"]).get(f"/consent/?photo={photo.pk}").status_code == 403


def test_a_patient_withdraws_for_all_photos_and_for_those_to_come(champion: Release) -> None:
    client = signed_in(roles=["screener"])
    first = send(client, 1).json()
    patient = Patient.objects.get()
    answer = client.post(f"/api/v1/patients/{patient.pk}/consent", {"may_train": False, "reason": "a letter"})
    assert answer.json() == {"may_train": False, "photos": 0}
    second = send(client, 2, may_train="true").json()
    assert second["image"]["may_train"] is False, "whatever the sender states"
    page = client.get(f"/results/{second['id']}/").content.decode()
    assert "the consent of this patient is withdrawn" in page
    one = client.post(f"/api/v1/predictions/{first['id']}/consent", {"may_train": True, "reason": "asked again"})
    assert (one.status_code, one.json()["code"]) == (409, "patient_withdrew")
    assert client.post(f"/consent/?patient={patient.pk}", {"may_train": "yes", "reason": "agreed"}).status_code == 303
    assert EyeImage.objects.filter(may_train=True).count() == 2
    assert send(client, 3).json()["image"]["may_train"] is True
    assert ConsentChange.objects.filter(image=None).count() == 2


def test_the_api_changes_one_photo_and_repeats_a_request_once() -> None:
    user = UserFactory.create(roles=["integrator"])
    client = Client()
    client.force_login(user)
    prediction = PredictionFactory.create(image__uploaded_by=user)
    body = {"may_train": False, "reason": "asked"}
    for _ in range(2):
        answer = client.post(f"/api/v1/predictions/{prediction.pk}/consent", body, headers={"Idempotency-Key": "one"})
        assert (answer.status_code, answer.json()) == (200, {"may_train": False, "photos": 0})
    assert ConsentChange.objects.count() == 1


def test_the_admin_changes_many_at_once() -> None:
    photos = [EyeImageFactory.create(), EyeImageFactory.create()]
    client = signed_in(roles=["admin"])
    chosen = [str(photo.pk) for photo in photos]
    answer = client.post("/admin/predictions/eyeimage/", {"action": "change_consent", "_selected_action": chosen})
    assert answer.status_code == 302 and all(f"photo={pk}" in answer["Location"] for pk in chosen)
    assert "2 of 2 photos" in client.get(answer["Location"]).content.decode()
    assert client.post(answer["Location"], NO).status_code == 303
    assert not EyeImage.objects.filter(may_train=True).exists()
    assert (
        f"/consent/?photo={chosen[0]}"
        in client.get(f"/admin/predictions/eyeimage/{chosen[0]}/change/").content.decode()
    )


def test_a_table_of_a_batch_leaves_a_missing_column_to_the_form() -> None:
    for table, stated, expected in (
        (b"file,patient\na.jpg,P-1\n", False, False),
        (b"file,patient\na.jpg,P-1\n", None, None),
        (b"file,may_train\na.jpg,no\n", True, False),
        (b"file,may_train\na.jpg,yes\n", None, True),
        (b"file,may_train\na.jpg,yes\n", False, False),
    ):
        _, (facts,) = read_table(table).match([["a.jpg"]], PhotoFacts(may_train=stated))
        assert facts.may_train is expected


def test_the_patient_of_a_tombstone_cannot_be_asked_about() -> None:
    assert signed_in(roles=["screener"]).get("/consent/?photo=nonsense").status_code == 404
    assert signed_in(roles=["screener"]).get("/consent/").status_code == 404
    foreign = PatientFactory.create()
    assert signed_in(roles=["screener"]).get(f"/consent/?patient={foreign.pk}").status_code == 404
