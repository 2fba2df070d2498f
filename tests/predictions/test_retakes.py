"""Retakes and the other eye over HTTP: forms that are filled in, and what a better photo replaces."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from predictions.answering import final_results
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from review.cases.models import ReviewCase
from review.queue import worker
from tests.factories import EyeImageFactory, PredictionFactory, SiteFactory, UserFactory, jpeg_bytes
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def screener() -> User:
    return UserFactory.create(roles=["screener"])


@pytest.fixture
def browser(client: Client, screener: User) -> Client:
    client.force_login(screener)
    return client


def unjudged(user: User, **image: Any) -> Prediction:
    """A photo of the left eye that the AI could not judge; its case is open."""
    sent = EyeImageFactory.create(uploaded_by=user, patient_key="P-001", eye="OS", **image)
    case = make_case("ungradable", image=sent, probability=None, reasons=["ungradable", "quality"])
    assert case.prediction is not None
    return case.prediction


def send(client: Client, **fields: Any) -> Prediction:
    """Send the form with a photo that can be judged; the new prediction."""
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(1, opacity=1.0), "image/jpeg")
    values = {"patient_key": "P-001", "eye": "OS", "key": str(uuid.uuid4()), "photo": photo, **fields}
    answer = client.post("/upload/", values)
    assert answer.status_code == 303, answer.content.decode()
    return Prediction.objects.get(pk=answer["Location"].split("/")[2])


def filled_in(client: Client, address: str) -> dict[str, Any]:
    """What the form holds at first."""
    form = client.get(address).context["form"]
    values = {name: form[name].value() for name in form.fields if name != "key"}
    return {name: value for name, value in values.items() if value not in (None, "", False)}


def test_retake_and_other_eye_open_forms_that_are_filled_in(browser: Client, screener: User) -> None:
    here, there = SiteFactory.create(name="North"), SiteFactory.create(name="South")
    screener.sites.set([here, there])
    old = unjudged(screener, site_name="South")
    page = browser.get(f"/results/{old.pk}/").content.decode()
    assert f'href="/upload/?retake_of={old.pk}">Retake the photo' in page
    assert f'href="/upload/?other_eye_of={old.pk}">Other eye of P-001' in page
    known = {"patient_key": "P-001", "site": there.pk, "may_train": True}
    retake = filled_in(browser, f"/upload/?retake_of={old.pk}")
    assert retake == {**known, "eye": "OS", "retake_of": old.image_id}
    assert filled_in(browser, f"/upload/?other_eye_of={old.pk}") == {**known, "eye": "OD"}
    assert filled_in(browser, f"/upload/?same_eye_of={old.pk}") == {**known, "eye": "OS"}
    assert "You are taking a photo again." in browser.get(f"/upload/?retake_of={old.pk}").content.decode()


@pytest.mark.parametrize("given", ["P-001", "", "00000000-0000-0000-0000-000000000000", "foreign"])
def test_a_form_is_filled_in_only_from_results_that_the_user_may_see(browser: Client, given: str) -> None:
    if given == "foreign":
        given = str(unjudged(UserFactory.create(roles=["screener"])).pk)
    for name in ("retake_of", "other_eye_of", "same_eye_of"):
        assert browser.get(f"/upload/?{name}={given}").status_code == 404


def test_a_retake_that_can_be_judged_replaces_the_old_photo(browser: Client, screener: User, champion: Any) -> None:
    started = timezone.now()
    old = unjudged(screener)
    assert "Clinician review pending" in browser.get(f"/results/{old.pk}/").content.decode()
    new = send(browser, retake_of=str(old.image_id))
    assert new.image.retake_of_id == old.image_id and new.decision == "cataract"
    page = browser.get(f"/results/{old.pk}/").content.decode()
    assert "Replaced by a better photo." in page and f'href="/results/{new.pk}/"' in page
    assert "Clinician review pending" not in page and "Retake the photo" not in page
    assert "Replaced by a better photo" in browser.get("/uploads/").content.decode()
    body = browser.get(f"/api/v1/predictions/{old.pk}").json()
    assert (body["state"], body["replaced_by"], body["decision"]) == ("replaced", str(new.pk), "ungradable")
    fhir = browser.get(f"/api/v1/predictions/{old.pk}/fhir")
    assert fhir.status_code == 200 and "Clinician review pending" not in fhir.content.decode()
    assert '"cancelled"' in fhir.content.decode()
    worker.sweep()
    assert ReviewCase.objects.get(prediction=old).status == "withdrawn"
    of_state = {state: [row["id"] for row in browser.get(f"/api/v1/predictions?state={state}").json()["results"]]
                for state in Prediction.State.values}  # fmt: skip
    assert of_state["replaced"] == [str(old.pk)] and of_state["waiting"] == []
    assert sum(map(len, of_state.values())) == 2, "each result is in exactly one state"
    changed = browser.get("/api/v1/predictions", {"changed_since": started.isoformat(), "state": "replaced"}).json()
    assert len(changed["results"]) == 1
    assert [eye["finding"] for eye in browser.get(f"/api/v1/patients/{old.image.patient_id}").json()["eyes"]] == [
        None,
        "cataract",
    ]


def test_a_photo_of_another_patient_or_eye_is_no_retake(browser: Client, screener: User, champion: Any) -> None:
    """The form is filled in, and everything in it can be changed."""
    old = unjudged(screener)
    assert send(browser, retake_of=str(old.image_id), eye="OD").image.retake_of is None
    old.refresh_from_db()
    assert old.state == "waiting"


def test_a_retake_of_a_photo_of_somebody_else_is_refused(browser: Client, champion: Any) -> None:
    foreign = unjudged(UserFactory.create(roles=["screener"]))
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(1), "image/jpeg")
    values = {"patient_key": "P-001", "eye": "OS", "key": str(uuid.uuid4()), "photo": photo}
    assert browser.post("/upload/", {**values, "retake_of": str(foreign.image_id)}).status_code == 422
    assert EyeImage.objects.count() == 1


@pytest.mark.parametrize("given", ["", "no id", "foreign"])
def test_the_api_takes_the_result_that_is_retaken(screener: User, champion: Any, given: str) -> None:
    integrator = UserFactory.create(roles=["integrator"])
    client = Client()
    client.force_login(integrator)
    old = unjudged(screener if given else integrator)
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(1, opacity=1.0), "image/jpeg")
    values = {
        "patient": "P-001",
        "eye": "OS",
        "photo": photo,
        "retake_of": given.replace("foreign", str(old.pk)) or old.pk,
    }
    answer = client.post("/api/v1/predictions", values)
    old.refresh_from_db()
    if given:
        assert answer.status_code == 422 and answer.json()["errors"]["retake_of"] and old.state == "waiting"
    else:
        assert answer.status_code == 201 and str(old.replaced_by_id) == answer.json()["id"]


def test_a_chain_of_retakes_is_replaced_as_a_whole(screener: User) -> None:
    first, second = unjudged(screener), unjudged(screener)
    EyeImage.objects.filter(pk=second.image_id).update(retake_of=first.image)
    third = PredictionFactory.create(image=EyeImageFactory.create(retake_of=EyeImage.objects.get(pk=second.image_id)))
    assert final_results.replace_ungradable(third) == 2
    assert {each.state for each in Prediction.objects.filter(pk__in=[first.pk, second.pk])} == {"replaced"}
    assert final_results.replace_ungradable(third) == 0


def test_what_people_have_told_the_sender_stays(screener: User) -> None:
    old = unjudged(screener)
    final_results.settle_by_people(image=old.image, answer="ungradable", basis="single", is_final=True)
    new = PredictionFactory.create(image=EyeImageFactory.create(retake_of=old.image), decision="normal")
    final_results.replace_ungradable(new)
    old.refresh_from_db()
    assert old.state == "final"
    assert list(Prediction.objects.in_state("replaced")) == [] and old in Prediction.objects.in_state("final")
    assert old in Prediction.objects.changed_since(timezone.now() - timedelta(minutes=1))


def test_the_two_eyes_come_one_after_the_other(browser: Client, screener: User) -> None:
    first = PredictionFactory.create(image=EyeImageFactory.create(uploaded_by=screener, patient_key="P-9", eye="OD"))
    page = browser.get(f"/results/{first.pk}/").content.decode()
    assert f'href="/upload/?other_eye_of={first.pk}">Now the left eye (OS) of P-9' in page
    form = browser.get(f"/upload/?other_eye_of={first.pk}")
    assert "Now the left eye (OS) of P-9" in form.content.decode()
    PredictionFactory.create(image=EyeImageFactory.create(uploaded_by=screener, patient_key="P-9", eye="OS"))
    assert "Now the" not in browser.get(f"/results/{first.pk}/").content.decode()
