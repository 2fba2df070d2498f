"""What a sender is promised about wrong eyes, wrong patients and wrong photos, on the pages and in the API."""

import re
import uuid
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client
from PIL import Image

from cataract.core import tokens
from predictions.answering.models import Disclosure, Prediction
from predictions.batches import worker as batches
from predictions.corrections.models import Correction
from predictions.photos.models import Cluster, EyeImage, WrongPatientCheck
from predictions.webhooks import services as webhooks_services
from predictions.webhooks.models import WebhookDelivery
from review.cases.models import ReviewCase
from review.queue import policy
from review.queue import worker as queue
from tests.factories import (
    LabelFactory,
    PredictionFactory,
    ReaderFactory,
    SiteFactory,
    UserFactory,
    jpeg_bytes,
)
from tests.record import lifted
from tests.review.test_pages import stored_image
from training.datasets.selectors import usable_labels

pytestmark = pytest.mark.django_db
WHY = "The key of the next patient was typed in."


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def program(user: User, *scopes: str) -> Client:
    _, key = tokens.create_token(user=user, name="test", scopes=list(scopes or ("upload", "read")), days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def sender() -> User:
    user: User = UserFactory.create(roles=["screener"])
    return user


@pytest.fixture
def sent(sender: User) -> Prediction:
    """A prediction of a photo of P-1, OS, that the sender has sent."""
    prediction: Prediction = PredictionFactory.create(
        image=stored_image(uploaded_by=sender, patient_key="P-1", eye="OS")
    )
    return prediction


def page_of(prediction: Prediction) -> str:
    return f"/results/{prediction.pk}/correct/"


def url_of(prediction: Prediction) -> str:
    return f"/api/v1/predictions/{prediction.pk}/corrections"


def photo_of(prediction: Prediction) -> EyeImage:
    return EyeImage.objects.select_related("patient", "cluster").get(pk=prediction.image_id)


def by_page(user: User, prediction: Prediction, action: str, **fields: str) -> Any:
    return logged_in(user).post(page_of(prediction), {"action": action, "reason": WHY, **fields})


def by_api(user: User, prediction: Prediction, kind: str, **fields: str) -> Any:
    body = {"kind": kind, "reason": WHY, **fields}
    return program(user).post(url_of(prediction), body, content_type="application/json")


Do = Callable[[User, Prediction], Any]
WAYS: dict[str, tuple[Do, Do]] = {
    "eye": (
        lambda user, row: by_page(user, row, "correct", eye="OD", patient_key="P-1"),
        lambda user, row: by_api(user, row, "wrong_eye", eye="OD"),
    ),
    "patient": (
        lambda user, row: by_page(user, row, "correct", eye="OS", patient_key="P-2"),
        lambda user, row: by_api(user, row, "wrong_patient", patient="P-2"),
    ),
    "mistake": (
        lambda user, row: by_page(user, row, "withdraw", kind="wrong_photo"),
        lambda user, row: by_api(user, row, "wrong_photo"),
    ),
    "duplicate": (
        lambda user, row: by_page(user, row, "withdraw", kind="duplicate"),
        lambda user, row: by_api(user, row, "duplicate"),
    ),
}
EACH = pytest.mark.parametrize(("what", "way"), [(what, way) for what in WAYS for way in ("page", "api")])


def correct(what: str, way: str, user: User, prediction: Prediction) -> Any:
    return WAYS[what][way == "api"](user, prediction)


# Who, and why ---------------------------------------------------------------------------------------------------------
@EACH
def test_the_sender_corrects_with_a_reason_and_the_prediction_stays(
    what: str, way: str, sender: User, sent: Prediction
) -> None:
    before = Prediction.objects.values().get(pk=sent.pk)
    answer = correct(what, way, sender, sent)
    assert answer.status_code == (201 if way == "api" else 303), answer.content
    image, stored = photo_of(sent), Correction.objects.get()
    expected = {"eye": ("OS", "OD"), "patient": ("P-1", "P-2")}.get(what, ("", ""))
    assert (stored.before, stored.after, stored.reason, stored.by) == (*expected, WHY, sender)
    assert image.eye == ("OD" if what == "eye" else "OS")
    assert image.patient_key == ("P-2" if what == "patient" else "P-1")
    assert (image.withdrawn_at is not None) == (what in ("mistake", "duplicate"))
    assert Prediction.objects.values().get(pk=sent.pk) == before
    page = logged_in(sender).get(f"/results/{sent.pk}/").content.decode()
    assert WHY in page and stored.get_kind_display().replace("'", "&#x27;") in page
    listed = program(sender).get(url_of(sent)).json()["results"]
    assert [(row["kind"], row["reason"], row["by"]) for row in listed] == [(stored.kind, WHY, sender.username)]


@EACH
def test_a_photo_of_somebody_else_is_not_found(what: str, way: str, sent: Prediction) -> None:
    assert correct(what, way, UserFactory.create(roles=["screener"]), sent).status_code == 404
    assert not Correction.objects.exists()


def test_the_senders_site_and_admins_correct_too(sent: Prediction) -> None:
    colleague, admin = UserFactory.create(roles=["screener"]), UserFactory.create(roles=["admin"])
    sent.image.site.users.add(colleague)
    assert by_api(colleague, sent, "wrong_eye", eye="OD").status_code == 201
    assert by_page(admin, sent, "correct", eye="OS", patient_key="P-1").status_code == 303
    assert logged_in(colleague).get(f"/photos/{sent.image_id}/view/").status_code == 200
    reader = ReaderFactory.create()
    sent.image.site.users.add(reader)
    assert logged_in(reader).get(f"/results/{sent.pk}/").status_code == 404, "a reader sees no results of the site"
    assert logged_in(reader).get(page_of(sent)).status_code == 403


@EACH
def test_without_a_reason_nothing_changes(what: str, way: str, sender: User, sent: Prediction) -> None:
    fields: dict[str, Any] = {"eye": "OD", "patient_key": "P-2", "kind": "wrong_photo", "reason": "  "}
    if way == "page":
        answer = logged_in(sender).post(
            page_of(sent), {"action": "correct" if what in ("eye", "patient") else "withdraw", **fields}
        )
        assert "Say why, in a few words." in answer.content.decode()
    else:
        kind = {"eye": "wrong_eye", "patient": "wrong_patient", "mistake": "wrong_photo"}.get(what, what)
        body = {"eye": {"eye": "OD"}, "patient": {"patient": "P-2"}}.get(what, {})
        answer = program(sender).post(url_of(sent), {"kind": kind, **body}, content_type="application/json")
        assert answer.json()["field"] == "reason"
    assert answer.status_code == 422 and not Correction.objects.exists()
    image = photo_of(sent)
    assert (image.eye, image.patient_key, image.withdrawn_at) == ("OS", "P-1", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "wrong_eye"}, "eye"),
        ({"kind": "wrong_eye", "eye": "OS"}, "eye"),
        ({"kind": "wrong_patient", "patient": "Anna Smith"}, "patient"),
        ({"kind": "wrong_patient", "patient": "P-1"}, "patient"),
        ({"kind": "wrong_photo", "eye": "OD"}, "eye"),
        ({"kind": "nonsense"}, "kind"),
    ],
)
def test_the_api_names_the_wrong_field(body: dict[str, str], field: str, sender: User, sent: Prediction) -> None:
    answer = program(sender).post(url_of(sent), {**body, "reason": WHY}, content_type="application/json")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_an_idempotency_key_corrects_once(sender: User, sent: Prediction) -> None:
    asker, body = program(sender), {"kind": "wrong_eye", "eye": "OD", "reason": WHY}
    headers = {"Idempotency-Key": "once"}
    first, again = [asker.post(url_of(sent), body, content_type="application/json", headers=headers) for _ in range(2)]
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true" and Correction.objects.count() == 1


def test_the_page_corrects_both_at_once_and_shows_no_answer(sender: User, sent: Prediction) -> None:
    client = logged_in(sender)
    page = client.get(page_of(sent)).content.decode()
    assert 'value="P-1"' in page and "cataract." not in page.partition("<main")[2].partition("</main>")[0]
    assert not Disclosure.objects.exists()
    answer = by_page(sender, sent, "correct", eye="OD", patient_key="P-2")
    assert answer.status_code == 303 and Correction.objects.count() == 2
    assert by_page(sender, sent, "correct", eye="OD", patient_key="P-2").status_code == 422, (
        "nothing is left to correct"
    )


def test_the_database_refuses_to_rewrite_a_correction(sender: User, sent: Prediction) -> None:
    by_api(sender, sent, "wrong_eye", eye="OD")
    for values in ({"reason": "another"}, {"after": "OS"}, {"kind": "restored"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Correction.objects.update(**values)
    assert Correction.objects.get().reason == WHY


# What follows ---------------------------------------------------------------------------------------------------------
def test_the_open_case_shows_the_corrected_eye_and_the_label_stays(sender: User, sent: Prediction) -> None:
    label = LabelFactory.create(image=sent.image)
    queue.sweep()
    by_api(sender, sent, "wrong_eye", eye="OD")
    queue.sweep()
    case = ReviewCase.objects.select_related("image").get()
    assert case.status == "first" and case.shown_eye == "OD"
    assert list(usable_labels()) == [label]


def test_a_withdrawn_photo_leaves_lists_queue_and_datasets_and_comes_back(sender: User, sent: Prediction) -> None:
    LabelFactory.create(image=sent.image)
    queue.sweep()
    reader, screener, asker = ReaderFactory.create(), logged_in(sender), program(sender)
    assert policy.readable(reader).count() == 1 and usable_labels().count() == 1
    by_page(sender, sent, "withdraw", kind="wrong_photo")
    assert not policy.readable(reader).exists(), "at once, before the sweep"
    queue.sweep()
    assert ReviewCase.objects.get().status == "withdrawn"
    assert not usable_labels().exists()
    assert str(sent.pk) not in screener.get("/uploads/").content.decode()
    page = screener.get(f"/results/{sent.pk}/").content.decode()
    assert "This photo is withdrawn." in page
    ids = [row["id"] for row in asker.get("/api/v1/predictions").json()["results"]]
    assert ids == []
    for query in ("withdrawn=true", "changed_since=2020-01-01T00:00:00Z"):
        (found,) = asker.get(f"/api/v1/predictions?{query}").json()["results"]
        assert found["id"] == str(sent.pk) and found["image"]["withdrawn_at"]
    assert by_page(sender, sent, "correct", eye="OD", patient_key="P-1").status_code == 409

    assert by_page(sender, sent, "restore").status_code == 303
    assert by_page(sender, sent, "restore").status_code == 409
    assert str(sent.pk) in screener.get("/uploads/").content.decode() and usable_labels().count() == 1
    again = Prediction.objects.exclude(pk=sent.pk).get()
    assert again.image_id == sent.image_id and again.status == "queued", "a clinician still has to read it"


def test_who_subscribes_hears_of_a_correction_and_no_patient_is_named(sent: Prediction) -> None:
    owner = UserFactory.create(roles=["integrator"])
    EyeImage.objects.filter(pk=sent.image_id).update(uploaded_by=owner)
    for user in (owner, UserFactory.create(roles=["integrator"])):
        webhooks_services.add_endpoint(user=user, url="https://example.org/", events=["photo.corrected"])
    by_api(owner, sent, "wrong_patient", patient="P-2")
    message = WebhookDelivery.objects.get()
    assert message.endpoint.user == owner
    assert message.payload == {
        "prediction": str(sent.pk),
        "address": f"/api/v1/predictions/{sent.pk}",
        "kind": "wrong_patient",
    }


def test_the_split_follows_the_patient(sender: User, sent: Prediction) -> None:
    EyeImage.objects.filter(pk=sent.image_id).update(split="test")
    Cluster.objects.filter(pk=sent.image.cluster_id).update(split="test")
    stays = stored_image(patient_key="P-1", cluster=sent.image.cluster, split="test", perceptual_hash="0f" * 8)
    other = stored_image(patient_key="P-2", split="train", perceptual_hash="c3" * 8)
    by_api(sender, sent, "wrong_patient", patient="P-2")
    image = photo_of(sent)
    assert (image.cluster_id, image.split) == (other.cluster_id, "excluded")
    stays.refresh_from_db()
    assert stays.split == "test" and stays.cluster_id != other.cluster_id


# Refusals lead to the earlier result ----------------------------------------------------------------------------------
def send(client: Client, data: bytes, **fields: str) -> Any:
    photo = SimpleUploadedFile("eye.jpg", data, "image/jpeg")
    values = {"patient_key": "P-1", "eye": "OD", "key": str(uuid.uuid4()), "photo": photo, **fields}
    return client.post("/upload/", values)


def post(client: Client, data: bytes, **fields: str) -> Any:
    photo = SimpleUploadedFile("eye.jpg", data, "image/jpeg")
    return client.post("/api/v1/predictions", {"patient": "P-1", "eye": "OD", "photo": photo, **fields})


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"eye": "OS"}, "same_photo_both_eyes"),
        ({"patient": "P-2"}, "same_photo_other_patient"),
        ({}, "duplicate"),
    ],
)
def test_a_refusal_links_the_earlier_result_for_those_who_may_see_it(
    other: dict[str, str], code: str, sender: User, champion: Any
) -> None:
    first = post(program(sender), jpeg_bytes(1)).json()
    refused = post(program(sender), jpeg_bytes(1), **other)
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["existing"]) == (code, first["id"])
    fields = {"patient_key" if name == "patient" else name: value for name, value in other.items()}
    page = send(logged_in(sender), jpeg_bytes(1), **fields).content.decode()
    assert f'href="/results/{first["id"]}/"' in page and f'href="/results/{first["id"]}/correct/"' in page

    stranger = UserFactory.create(roles=["screener"])
    refused = post(program(stranger), jpeg_bytes(1), **other)
    assert refused.json()["code"] == code and "existing" not in refused.json()
    page = send(logged_in(stranger), jpeg_bytes(1), **fields).content.decode()
    assert first["id"] not in page and not re.search(r"\d", refused.json()["detail"]), "neither which nor when"


def test_a_withdrawn_photo_is_refused_with_its_way_back(sender: User, champion: Any) -> None:
    first = post(program(sender), jpeg_bytes(1)).json()
    by_api(sender, Prediction.objects.get(), "wrong_photo")
    again = post(program(sender), jpeg_bytes(1), send_anyway="true")
    assert (again.status_code, again.json()["code"]) == (409, "photo_withdrawn")
    assert again.json()["existing"] == first["id"]


# Near-copies under two patients ---------------------------------------------------------------------------------------
def near_copy(data: bytes) -> bytes:
    """The same picture, mirrored and saved again."""
    pixels = np.asarray(Image.open(BytesIO(data)))[:, ::-1]
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=90)
    return file.getvalue()


def test_near_copies_of_two_patients_ask_whose_they_are(sender: User, champion: Any) -> None:
    client, asker = logged_in(sender), program(sender)
    post(asker, jpeg_bytes(1), patient="P-1")
    assert "Wrong patient?</a>" in client.get("/upload/").content.decode()
    second = post(asker, near_copy(jpeg_bytes(1)), patient="P-2").json()
    assert second["image"]["wrong_patient_check"] == "open"
    check = WrongPatientCheck.objects.get()
    assert 'Wrong patient? <span class="count">1</span>' in client.get("/upload/").content.decode()
    with lifted():
        Disclosure.objects.all().delete()
    page = client.get("/corrections/").content.decode()
    assert f"/photos/{check.image_id}/view/" in page and f"/photos/{check.twin_id}/view/" in page
    assert not Disclosure.objects.exists(), "the page shows no answer"
    address = f"/corrections/{check.pk}/"
    assert client.post(address, {"answer": "keep"}).status_code == 422
    stranger = logged_in(UserFactory.create(roles=["screener"]))
    assert stranger.post(address, {"answer": "keep", "reason": WHY}).status_code == 404
    assert "Nothing to check" in stranger.get("/corrections/").content.decode()

    assert client.post(address, {"answer": "twin", "reason": WHY}).status_code == 303
    check.refresh_from_db()
    assert (check.status, check.outcome, check.reason) == ("resolved", "corrected", WHY)
    assert EyeImage.objects.get(pk=check.image_id).patient_key == "P-1"
    assert Correction.objects.get().kind == "wrong_patient"
    found = asker.get(f"/api/v1/predictions/{second['id']}").json()["image"]
    assert found["wrong_patient_check"] == "none" and found["corrected_at"]
    assert client.post(address, {"answer": "keep", "reason": WHY}).status_code == 409
    assert "Wrong patient?</a>" in client.get("/upload/").content.decode()


def test_different_patients_are_kept_and_never_asked_again(sender: User, champion: Any) -> None:
    asker = program(sender)
    post(asker, jpeg_bytes(1), patient="P-1")
    post(asker, near_copy(jpeg_bytes(1)), patient="P-2")
    check = WrongPatientCheck.objects.get()
    logged_in(sender).post(f"/corrections/{check.pk}/", {"answer": "keep", "reason": "Twins."})
    check.refresh_from_db()
    assert (check.outcome, check.resolved_by) == ("kept", sender) and not Correction.objects.exists()
    by_api(sender, check.image.predictions.get(), "wrong_patient", patient="P-3")
    assert WrongPatientCheck.objects.count() == 1 and not WrongPatientCheck.objects.open().exists()


def test_a_near_copy_of_the_same_patient_or_of_none_asks_nothing(sender: User, champion: Any) -> None:
    asker = program(sender)
    post(asker, jpeg_bytes(1), patient="P-1")
    assert post(asker, near_copy(jpeg_bytes(1)), patient="P-1").json()["image"]["near_duplicate_of"]
    assert post(asker, near_copy(near_copy(jpeg_bytes(1))), patient="").status_code == 201
    assert not WrongPatientCheck.objects.exists()


def test_withdrawing_one_of_them_answers_the_check(sender: User, champion: Any) -> None:
    asker = program(sender)
    first = post(asker, jpeg_bytes(1), patient="P-1").json()
    post(asker, near_copy(jpeg_bytes(1)), patient="P-2")
    by_api(sender, Prediction.objects.get(pk=first["id"]), "wrong_photo")
    assert WrongPatientCheck.objects.get().status == "resolved"


def test_nobody_sees_the_photo_of_another_site(sender: User, champion: Any) -> None:
    other_site, stranger = SiteFactory.create(name="Another site"), UserFactory.create(roles=["screener"])
    other_site.users.add(stranger)
    SiteFactory.create(name="This site").users.add(sender)
    post(program(stranger), jpeg_bytes(1), patient="P-1")
    post(program(sender), near_copy(jpeg_bytes(1)), patient="P-1")
    check = WrongPatientCheck.objects.get()
    assert "Nothing to check" in logged_in(sender).get("/corrections/").content.decode()
    admin = UserFactory.create(roles=["admin"])
    page = logged_in(admin).get("/corrections/").content.decode()
    assert str(check.pk) in page and "Both of" not in page, "a patient belongs to one site"


def test_a_refused_file_of_a_batch_links_the_earlier_result_and_shows_no_answer_of_it(
    sender: User, champion: Any
) -> None:
    asker, client = program(sender), logged_in(sender)
    first = post(asker, jpeg_bytes(1)).json()
    for user, existing in ((sender, first["id"]), (UserFactory.create(roles=["screener"]), None)):
        photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(1), "image/jpeg")
        batch = program(user).post("/api/v1/batches", {"photos": [photo], "patient": "P-2", "eye": "OD"}).json()
        while batches.run_batch(batch["id"]):
            pass
        (item,) = program(user).get(f"/api/v1/batches/{batch['id']}/results").json()["results"]
        assert (item["code"], item["existing"], item["result"]) == ("same_photo_other_patient", existing, None)
        client.force_login(user)
        page = client.get(f"/batches/{batch['id']}/").content.decode()
        assert (f"/results/{first['id']}/" in page) == (existing is not None)
