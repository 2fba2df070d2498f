"""What an eye doctor found later, over HTTP: recorded, corrected, a label of its own kind, and a figure."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from cataract.ml.labels import CLASSES
from predictions.answering.final_results import settle_by_ai
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from review.agreement import in_service
from review.labels.models import Label
from review.outcomes import labelling
from review.outcomes.models import Outcome
from review.outcomes.photos import cleared_wrongly
from review.queue import policy
from review.reading import services as reading_services
from tests.factories import EyeImageFactory, PredictionFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case
from tests.review.test_api import with_key
from tests.review.test_pages import logged_in
from training.datasets.selectors import usable_labels
from training.datasets.services import preview

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 20)


@pytest.fixture
def screener() -> User:
    return UserFactory.create(roles=["screener"])


def photo(screener: User, *, days_before: int = 10, decision: str = "normal", **values: Any) -> Prediction:
    """A photo of the right eye of P-1 with a sure answer of the AI alone."""
    taken = timezone.make_aware(datetime(2026, 11, 20, 9)) - timedelta(days=days_before)
    image = EyeImageFactory.create(**{"patient_key": "P-1", "uploaded_by": screener, "captured_at": taken, **values})
    done = PredictionFactory.create(image=image, decision=decision, needs_review=False, reasons=[])
    settle_by_ai(done)
    return done


def record(client: Client, **values: Any) -> Any:
    body = {"patient": "P-1", "eye": "OD", "cataract": "yes", "seen_on": "2026-11-20", "source": "letter", **values}
    return client.post("/review/outcomes/new/", body)


def outcome_labels() -> dict[Any, str]:
    labels = Label.objects.standing().filter(provenance="outcome")
    return {label.image_id: label.answer for label in labels}


def test_it_is_recorded_from_the_result_page_and_shown_in_the_list(screener: User) -> None:
    prediction, client = photo(screener), logged_in(screener)
    result = client.get(f"/results/{prediction.pk}/").content.decode()
    address = f"/review/outcomes/new/?prediction={prediction.pk}"
    assert address in result
    form = client.get(address).content.decode()
    assert 'value="P-1"' in form and re.search(r'value="OD"[^>]*checked', form)
    answer = record(client)
    assert answer.status_code == 302
    page = client.get(answer["Location"]).content.decode()
    assert "Outcome recorded." in page and "2026-11-20" in page and "P-1" in page
    assert outcome_labels() == {prediction.image_id: "cataract"}
    assert Prediction.objects.get().final_result.answer == "normal", "what the sender was told stays on record"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"patient": "P-9"}, "There is no patient &#x27;P-9&#x27;"),
        ({"patient": "Mary Smith"}, "Use a pseudonym"),
        ({"seen_on": "2031-01-01"}, "between 1990 and today"),
        ({"seen_on": ""}, "required"),
        ({"cataract": ""}, "required"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(screener: User, values: dict[str, str], words: str) -> None:
    photo(screener)
    answer = record(logged_in(screener), **values)
    assert answer.status_code == 422 and words in answer.content.decode()
    assert not Outcome.objects.exists()


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({}, "cataract"),
        ({"cataract": "no"}, "normal"),
        ({"cataract": "no", "operated": "on"}, None),
        ({"cataract": "yes", "operated": "on"}, "cataract"),
        ({"eye": "OS"}, None),
        ({"seen_on": "2026-11-09"}, None),  # before the photo
    ],
)
def test_which_label_an_outcome_makes(screener: User, values: dict[str, str], label: str | None) -> None:
    prediction = photo(screener, days_before=10)
    assert record(logged_in(screener), **values).status_code == 302
    assert outcome_labels().get(prediction.image_id) == label


def test_only_photos_in_the_window_and_the_first_outcome_after_each(screener: User, settings: Any) -> None:
    settings.OUTCOME_WINDOW_DAYS = 60
    old, early, late = (photo(screener, days_before=days) for days in (70, 50, 5))
    client = logged_in(screener)
    record(client)
    assert set(outcome_labels()) == {early.image_id, late.image_id}
    record(client, cataract="no", seen_on=(TODAY - timedelta(days=20)).isoformat())
    assert outcome_labels() == {old.image_id: "normal", early.image_id: "normal", late.image_id: "cataract"}


def test_a_correction_supersedes_and_the_labels_follow(screener: User) -> None:
    prediction, client = photo(screener), logged_in(screener)
    record(client)
    first = Outcome.objects.get()
    assert record(client).status_code == 302 and Outcome.objects.count() == 1, "the same twice is stored once"
    record(client, cataract="no")
    second = Outcome.objects.standing().get()
    assert second.supersedes == first and outcome_labels() == {prediction.image_id: "normal"}
    other = photo(screener, patient_key="P-2")
    address = f"/review/outcomes/new/?corrects={second.pk}"
    assert "Correct an outcome" in client.get(address).content.decode()
    body = {"patient": "P-2", "eye": "OD", "cataract": "no", "seen_on": "2026-11-20", "source": "letter"}
    assert client.post(address, body).status_code == 302
    assert outcome_labels() == {other.image_id: "normal"}, "it was another patient"
    again = client.post(address, {**body, "cataract": "yes", "seen_on": "2026-11-19"})
    assert again.status_code == 422 and "has changed since" in again.content.decode()
    for change in ({"cataract": False}, {"eye": "OS"}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Outcome.objects.filter(pk=first.pk).update(**change)


def test_it_trains_only_where_the_photo_can_be_judged(screener: User) -> None:
    good, blurred = photo(screener), photo(screener, decision="ungradable")
    unclear = make_case(
        "ungradable", image=EyeImageFactory.create(patient_key="P-1", captured_at=good.image.captured_at)
    )
    for reader in ReaderFactory.create_batch(2):  # they overrule the AI: it can be judged
        reading_services.store_blind_answer(case=unclear, reader=reader, answer="normal")
        reading_services.settle_abandoned()
        unclear.claimed_by = None
        type(unclear).objects.update(claimed_by=None, lease_until=None)
        reading_services.settle_abandoned()
    record(logged_in(screener))
    may_train = {label.image_id: label.may_train for label in Label.objects.filter(provenance="outcome")}
    assert may_train == {good.image_id: True, blurred.image_id: False, unclear.image_id: True}
    trains = {label.image_id: label.answer for label in usable_labels()}
    assert trains == {good.image_id: "cataract", unclear.image_id: "cataract"}, (
        "the outcome, not what readers agreed on"
    )
    agreed = Label.objects.standing().get(image=unclear.image, provenance="blind")
    assert agreed.answer == "normal", "what readers agreed on stands beside it"
    assert ("a later outcome counts instead", 1) in preview().excluded


def test_labels_follow_a_photo_whose_facts_change(screener: User) -> None:
    prediction = photo(screener)
    record(logged_in(screener))
    EyeImage.objects.filter(pk=prediction.image_id).update(eye="OS")
    assert labelling.label_photos() == 1 and not outcome_labels()
    EyeImage.objects.filter(pk=prediction.image_id).update(eye="OD")
    assert (labelling.label_photos(), labelling.label_photos()) == (1, 0)
    assert outcome_labels() == {prediction.image_id: "cataract"}


def test_over_the_api(screener: User) -> None:
    photo(screener)
    client = with_key(screener, "upload", "read")
    body = {"patient": "P-1", "eye": "OD", "cataract": True, "seen_on": "2026-11-20"}
    for replayed in (None, "true"):
        answer = client.post("/api/v1/outcomes", body, format="json", headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, replayed)
    assert (answer.json()["patient"], answer.json()["site"], answer.json()["operated"]) == ("P-1", "Main site", False)
    wrong = client.post("/api/v1/outcomes", {**body, "patient_id": "P-1", "sean_on": "x"}, format="json")
    assert wrong.status_code == 422 and {"patient_id", "sean_on"} <= set(wrong.json()["errors"])
    unknown = client.post("/api/v1/outcomes", {**body, "patient": "P-7"}, format="json")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "patient_unknown")
    corrected = client.post(
        "/api/v1/outcomes", {**body, "seen_on": "2026-11-19", "corrects": answer.json()["id"]}, format="json"
    )
    assert corrected.json()["supersedes"] == answer.json()["id"]
    listed = client.get("/api/v1/outcomes?patient=P-1&eye=OD").json()["results"]
    assert [row["seen_on"] for row in listed] == ["2026-11-19"]
    assert client.get("/api/v1/outcomes?patient=P-2").json()["results"] == []
    stranger = with_key(UserFactory.create(roles=["screener"]), "upload", "read")
    assert stranger.get("/api/v1/outcomes").json()["results"] == []


def send_table(client: Client, text: str | bytes) -> Any:
    data = text if isinstance(text, bytes) else text.encode()
    return client.post("/review/outcomes/import/", {"table": SimpleUploadedFile("outcomes.csv", data)})


def test_a_table_is_recorded_whole(screener: User) -> None:
    photo(screener), photo(screener, eye="OS"), photo(screener, patient_key="P-2", site_name="North")
    text = (
        "\ufeffsep=;\r\nPatient;eye;site;cataract;operated;seen_on\r\n"
        "P-1;OD;Main site;yes;no;2026-11-20\r\n;;;;;\r\nP-1;left;;No;;2026-11-20\r\nP-2;R;north;1;yes;2026-11-20\r\n"
    )
    answer = send_table(logged_in(screener), text)
    assert answer.status_code == 302, answer.content.decode()
    found = sorted(Outcome.objects.values_list("patient__key", "patient__site__name", "eye", "cataract", "operated"))
    expected = [("P-1", "Main site", "OD", True, False), ("P-1", "Main site", "OS", False, False)]
    assert found == [*expected, ("P-2", "North", "OD", True, True)]
    assert len(outcome_labels()) == 3
    send_table(logged_in(screener), text)
    assert Outcome.objects.count() == 3, "the same table twice records nothing twice"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient_id,eye,cataract,seen_on\nP-1,OD,yes,2026-11-20\n", "patient_id: Unknown column."),
        ("patient,eye,cataract\nP-1,OD,yes\n", "one of them must be `seen_on`"),
        ("patient,eye,cataract,seen_on\nP-1,OD,perhaps,2026-11-20\n", "is neither yes nor no."),
        ("patient,eye,cataract,seen_on\nP-1,middle,yes,2026-11-20\n", "is neither OD nor OS."),
        ("patient,eye,cataract,seen_on\nP-1,OD,yes,20.11.2026\n", "is no date such as"),
        ("patient,eye,cataract,seen_on\nP-1,OD,yes,2031-01-01\n", "between 1990 and today"),
        ("patient,eye,cataract,seen_on\nP-1,OD,yes,2026-11-20\nP-9,OD,yes,2026-11-20\n", "There is no patient"),
        ("patient,eye,cataract,seen_on\n", "The table has no rows."),
        ("", "one of them must be `patient`"),
        ("patient,eye,cataract,seen_on\nP-1,OD,yes,\xe9\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_wrong_table_is_refused_whole(screener: User, text: Any, words: str) -> None:
    photo(screener)
    answer = send_table(logged_in(screener), text)
    assert answer.status_code == 422 and words in answer.content.decode()
    assert not Outcome.objects.exists()


def test_who_knows_an_outcome_reads_no_photo_of_that_eye_blind(screener: User) -> None:
    make_case("normal", image=EyeImageFactory.create(patient_key="P-1", uploaded_by=screener))
    make_case("normal", image=EyeImageFactory.create(patient_key="P-1", eye="OS", uploaded_by=screener))
    record(logged_in(screener))
    auditor = UserFactory.create(roles=["auditor", "reader"])
    assert policy.readable(auditor).count() == 2
    logged_in(auditor).get("/review/outcomes/")
    assert [case.image.eye for case in policy.readable(auditor)] == ["OS"]
    admin = UserFactory.create(roles=["admin", "reader"])
    with_key(admin, "read").get("/api/v1/outcomes")
    assert [case.image.eye for case in policy.readable(admin)] == ["OS"]
    both = UserFactory.create(roles=["screener", "reader"])
    record(logged_in(both), cataract="no")
    assert [case.image.eye for case in policy.readable(both)] == ["OS"], "who records it knows it"


def test_the_agreement_page_shows_how_many_later_cataracts_were_called(screener: User) -> None:
    client = logged_in(screener)
    for number, decision in enumerate(["cataract", "cataract", "normal", "ungradable"]):
        photo(screener, patient_key=f"P-{number}", decision=decision)
        record(client, patient=f"P-{number}")
    photo(screener, patient_key="P-0", decision="normal")  # another photo of an eye that was called
    photo(screener, patient_key="P-8", decision="cataract")
    record(client, patient="P-8", cataract="no")
    ai, told = in_service.against_outcomes()
    assert (ai.estimate.value, ai.estimate.n, told.estimate.value) == (0.5, 4, 0.5)
    assert ai.estimate.low is not None and ai.estimate.low < 0.5
    make_case("cataract")
    reading_services.store_blind_answer(
        case=policy.readable(reader := ReaderFactory.create()).get(), reader=reader, answer="cataract"
    )
    page = logged_in(UserFactory.create(roles=["auditor"])).get("/review/agreement/").content.decode()
    assert "Against later outcomes" in page and "The AI had said cataract" in page
    assert all(row.provenance != "outcome" for row in in_service.rows())


def test_photos_that_were_cleared_wrongly_are_found(screener: User) -> None:
    wrong = photo(screener)
    photo(screener, decision="cataract")
    photo(screener, days_before=200)
    record(logged_in(screener))
    found = cleared_wrongly(Prediction.objects.visible_to(screener))
    assert [(prediction.pk, outcome.cataract) for prediction, outcome in found] == [(wrong.pk, True)]
    assert set(CLASSES) >= set(outcome_labels().values())
