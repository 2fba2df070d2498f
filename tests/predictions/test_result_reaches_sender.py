"""The final result reaches whoever sent the photo: page, list, API, FHIR and webhook say the same."""

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from fhir.resources.R4B.bundle import Bundle
from pypdf import PdfReader

from cataract.core import tokens
from predictions.answering import final_results
from predictions.answering.models import Disclosure, FinalResult, Prediction
from predictions.batches.models import Batch, BatchItem
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookDelivery
from review.cases.models import ReviewCase
from tests.factories import AdjudicatorFactory, PredictionFactory, ReaderFactory, UserFactory
from tests.record import lifted
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db
URL = "/api/v1/predictions"


def program(user: User, *scopes: str) -> Client:
    """A client with an API key of this user."""
    _, key = tokens.create_token(user=user, name="test", scopes=list(scopes) or ["read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def words_of(answer: Any) -> str:
    """The text of a page, without tags and with single spaces."""
    assert answer.status_code == 200, answer.content
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode())).replace("&#x27;", "'")


def pdf_text(data: bytes) -> str:
    """The text of a PDF with single spaces: its lines break anywhere."""
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages))


def read(case: ReviewCase, answer: str, reader: User) -> None:
    """A reader reads a case over the API: the blind answer, and the same again where the AI disagrees."""
    client, address = program(reader, "review"), f"/api/v1/review/cases/{case.pk}"
    claimed = client.post(f"{address}/claim")
    assert claimed.status_code == 200, claimed.json()
    for step in ("blind", "final"):
        body = {"step": step, "answer": answer}
        given = client.post(f"{address}/answer", body, content_type="application/json")
        assert given.status_code == 200, given.json()
        if given.json().get("next_step") != "final":
            return


@pytest.fixture
def sender() -> User:
    return UserFactory.create(roles=["integrator"], email="sender@clinic.example")


@pytest.fixture
def case(sender: User) -> ReviewCase:
    """An unsure "normal" of the AI, sent by `sender`."""
    return make_case("normal", probability=0.31, image__uploaded_by=sender, image__patient_key="P-1")


def test_two_readers_against_the_ai_reach_the_sender_everywhere(case: ReviewCase, sender: User) -> None:
    endpoint = webhooks.add_endpoint(user=sender, url="https://example.org/", events=["case.resolved"])
    page, api = f"/results/{case.prediction_id}/", f"{URL}/{case.prediction_id}"
    waiting = words_of(browser(sender).get(page))
    assert "Needs a clinician." in waiting and "Clinician review pending" in waiting
    assert "robability" not in waiting, "an unsure answer shows no probability"
    assert program(sender).get(api).json()["state"] == "waiting"

    first, second = ReaderFactory.create_batch(2)
    read(case, "cataract", first)
    provisional = program(sender).get(api).json()
    assert (provisional["state"], provisional["final_result"]["basis"]) == ("provisional", "single")
    read(case, "cataract", second)

    shown = words_of(browser(sender).get(page))
    assert "Clinicians say: cataract. Refer to an eye doctor" in shown
    assert "The clinicians disagree with the AI." in shown and "Read by two clinicians who agree." in shown
    assert "The AI's answer No sign of cataract, but not sure." in shown
    assert "review pending" not in shown and "Needs a clinician" not in shown
    for reader in (first, second):
        assert reader.username not in shown
    listed = words_of(browser(sender).get("/uploads/"))
    assert "Cataract Two clinicians; the AI said otherwise Final" in listed and "Needs a clinician" not in listed

    body = program(sender).get(api).json()
    told = body["final_result"]
    assert (body["state"], body["decision"], body["message"]) == ("final", "normal", "Clinicians say: cataract.")
    assert (told["answer"], told["basis"], told["status"]) == ("cataract", "double", "final")
    assert told["contradicts_ai"] is True and told["reason"] == ""
    (found,) = program(sender).get(f"{URL}?state=final&answer=cataract").json()["results"]
    assert found == body

    message = WebhookDelivery.objects.get(endpoint=endpoint, event="case.resolved")
    assert message.payload["final_result"] == told
    assert message.payload["prediction"] == str(case.prediction_id) and "P-1" not in str(message.payload)


def resources_of(body: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The resources of a bundle by type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in body["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


@pytest.mark.parametrize(
    ("answer", "detail", "value"),
    [
        ("cataract", "", "Present"),
        ("normal", "", "Absent"),
        ("ungradable", "blur", "error"),
        ("other", "pterygium", "unknown"),
        ("not_an_eye", "", "not-applicable"),
    ],
)
def test_fhir_says_what_clinicians_answered_and_keeps_the_ais_own_answer(
    case: ReviewCase, sender: User, answer: str, detail: str, value: str
) -> None:
    taken = timezone.now() - timedelta(days=3)
    case.image.captured_at = taken
    case.image.save()
    final_results.settle_by_people(image=case.image, answer=answer, detail=detail, basis="double", is_final=True)
    body = program(sender).get(f"{URL}/{case.prediction_id}/fhir").json()
    Bundle.model_validate(body)
    by_type = resources_of(body)
    (report,), (people, ai) = by_type["DiagnosticReport"], by_type["Observation"]
    assert report["status"] == people["status"] == "final" and ai["status"] == "preliminary"
    assert report["effectiveDateTime"] == people["effectiveDateTime"] == taken.isoformat()
    coding = (people.get("valueCodeableConcept") or people["dataAbsentReason"])["coding"][0]
    assert value in (coding["display"], coding["code"])
    assert ("Pterygium" in str(people)) == (answer == "other")
    assert ai["valueCodeableConcept"]["coding"][0]["display"] == "Absent", "the AI's own answer stays"
    site = next(each["fullUrl"] for each in body["entry"] if each["resource"]["resourceType"] == "Organization")
    assert report["performer"] == people["performer"] == [{"reference": site}]
    assert [each["reference"] for each in report["result"]] == [each["fullUrl"] for each in body["entry"][1:3]]
    assert {"reference": body["entry"][2]["fullUrl"]} in people["derivedFrom"]
    is_by_ai = {
        name: "AIAST" in str(each.get("meta")) for name, each in (("report", report), ("people", people), ("ai", ai))
    }
    assert is_by_ai == {"report": False, "people": False, "ai": True}
    agents = [(each["agent"][0]["type"]["text"], each["target"]) for each in by_type["Provenance"]]
    assert [who for who, _ in agents] == ["Person", "Software"]
    assert {"reference": body["entry"][0]["fullUrl"]} in agents[0][1]
    assert agents[1][1] == [{"reference": body["entry"][2]["fullUrl"]}], "software only made the AI's observation"


def test_fhir_of_the_ai_alone_is_final_and_labelled(sender: User) -> None:
    prediction = PredictionFactory.create(needs_review=False, reasons=[], image__uploaded_by=sender)
    final_results.settle_by_ai(prediction)
    body = program(sender).get(f"{URL}/{prediction.pk}/fhir").json()
    Bundle.model_validate(body)
    by_type = resources_of(body)
    (report,), (observation,) = by_type["DiagnosticReport"], by_type["Observation"]
    assert report["status"] == observation["status"] == "final"
    assert "AIAST" in str(report["meta"]) and "AIAST" in str(observation["meta"])
    assert [each["agent"][0]["type"]["text"] for each in by_type["Provenance"]] == ["Software"]


def test_an_amended_result_shows_its_reason_and_what_it_was(case: ReviewCase, sender: User) -> None:
    for answer, reason in (("normal", ""), ("cataract", "The lens is dense behind the reflex.")):
        final_results.settle_by_people(image=case.image, answer=answer, basis="double", is_final=True, reason=reason)
    shown = words_of(browser(sender).get(f"/results/{case.prediction_id}/"))
    assert "This answer was amended. Before: No sign of cataract (two clinicians). Told on" in shown
    assert shown.count("Reason: The lens is dense behind the reflex.") == 1
    assert shown.index("Amended: Cataract") < shown.index("Final: No sign of cataract") < shown.index("Photo sent")
    body = program(sender).get(f"{URL}/{case.prediction_id}").json()
    assert body["final_result"]["status"] == "amended" and body["final_result"]["reason"].startswith("The lens")
    fhir = program(sender).get(f"{URL}/{case.prediction_id}/fhir").json()
    Bundle.model_validate(fhir)
    assert resources_of(fhir)["DiagnosticReport"][0]["status"] == "amended"
    assert resources_of(fhir)["Provenance"][0]["reason"] == [{"text": "The lens is dense behind the reflex."}]
    assert FinalResult.objects.count() == 2


def test_clinicians_who_overrule_an_answer_of_the_ai_alone_amend_it(sender: User) -> None:
    prediction = PredictionFactory.create(decision="normal", needs_review=False, reasons=[], image__uploaded_by=sender)
    final_results.settle_by_ai(prediction)
    alone = words_of(browser(sender).get(f"/results/{prediction.pk}/"))
    assert "No sign of cataract in this photo." in alone and "AI alone" in alone and "amended" not in alone.lower()
    final_results.settle_by_people(image=prediction.image, answer="cataract", basis="single", is_final=True)
    shown = words_of(browser(sender).get(f"/results/{prediction.pk}/"))
    assert "Amended: the clinicians disagree with the AI. Before: No sign of cataract (AI alone). Told on" in shown
    assert "Ask a clinician" not in shown


def test_readers_who_read_again_take_their_answer_back(case: ReviewCase, sender: User) -> None:
    final_results.settle_by_people(image=case.image, answer="cataract", basis="double", is_final=True)
    final_results.take_back(image=case.image)
    with lifted():
        FinalResult.objects.update(superseded_at=timezone.now() + timedelta(minutes=5))
    shown = words_of(browser(sender).get(f"/results/{case.prediction_id}/"))
    assert "Clinician review pending" in shown and "Answer taken back" in shown


def test_changed_since_finds_what_changed_and_state_what_is_final(case: ReviewCase, sender: User) -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    with lifted():
        Prediction.objects.update(created_at=hour_ago - timedelta(days=1), done_at=hour_ago - timedelta(days=1))
    other = PredictionFactory.create(image__uploaded_by=sender, created_at=hour_ago, done_at=hour_ago)

    def asked(**query: Any) -> list[str]:
        return [row["id"] for row in program(sender).get(URL, query).json()["results"]]

    moment = (timezone.now() - timedelta(minutes=1)).isoformat()
    assert asked(changed_since=moment) == [] and len(asked()) == 2
    final_results.settle_by_people(image=case.image, answer="cataract", basis="double", is_final=True)
    assert asked(changed_since=moment) == asked(state=["final", "amended"]) == [str(case.prediction_id)]
    assert asked(state="waiting") == [str(other.pk)] and asked(state=["final", "waiting"]) == asked()
    assert program(sender).get(URL, {"state": "nonsense"}).status_code == 422


def test_whoever_opens_a_list_or_a_result_is_no_blind_reader(case: ReviewCase) -> None:
    final_results.settle_by_people(image=case.image, answer="cataract", basis="double", is_final=True)
    with lifted():
        Prediction.objects.update(decision="", release=None)  # only people answered
    for address in ("/uploads/", f"/results/{case.prediction_id}/"):
        adjudicator = AdjudicatorFactory.create()  # reads cases, and sees every photo
        assert browser(adjudicator).get(address).status_code == 200
        assert Disclosure.objects.filter(user=adjudicator, image=case.image).exists(), address
    adjudicator = AdjudicatorFactory.create()  # a list chosen by answers leaves out what may still be read blind
    assert str(case.prediction_id) not in browser(adjudicator).get("/uploads/?answer=cataract").content.decode()
    assert not Disclosure.objects.filter(user=adjudicator).exists()
    for address in (URL, f"{URL}/{case.prediction_id}", f"{URL}/{case.prediction_id}/fhir"):
        adjudicator = AdjudicatorFactory.create()
        assert program(adjudicator).get(address).status_code == 200
        assert Disclosure.objects.filter(user=adjudicator, image=case.image).exists(), address


SCOPE = "checked for cataract only"


def test_an_automatic_normal_says_everywhere_that_it_was_checked_for_cataract_only(sender: User) -> None:
    image = {"image__uploaded_by": sender, "image__patient_key": "P-1", "image__eye": "OD"}
    prediction = PredictionFactory.create(decision="normal", needs_review=False, reasons=[], **image)
    final_results.settle_by_ai(prediction)
    batch = Batch.objects.create(requested_by=sender, total=1, source="upload", status="done", done_at=timezone.now())
    BatchItem.objects.create(batch=batch, position=0, name="eye.jpg", status="stored", prediction=prediction)
    patient = f"/patients/{prediction.image.patient_id}/"
    addresses = [f"/results/{prediction.pk}/", "/uploads/", "/patients/", patient, f"{patient}result/"]
    addresses += [f"{patient}referral/", f"/batches/{batch.pk}/"]
    client, api = browser(sender), program(sender)

    def said() -> dict[str, bool]:
        """Whether each page and document of the sender says what was checked for."""
        texts = {address: words_of(client.get(address)) for address in addresses}
        texts["csv"] = b"".join(client.get(f"/batches/{batch.pk}/results.csv")).decode()
        texts["pdf"] = pdf_text(client.get(f"{patient}result.pdf").content)
        texts["api"] = api.get(f"{URL}/{prediction.pk}").json()["message"]
        texts["fhir"] = resources_of(api.get(f"{URL}/{prediction.pk}/fhir").json())["DiagnosticReport"][0]["conclusion"]
        assert not any("healthy" in text.lower() for text in texts.values())
        return {name: SCOPE in text.lower() for name, text in texts.items()}

    everywhere = said()
    assert all(everywhere.values()), everywhere
    (observation,) = resources_of(api.get(f"{URL}/{prediction.pk}/fhir").json())["Observation"]
    assert SCOPE in observation["method"]["text"]
    final_results.settle_by_people(image=prediction.image, answer="normal", basis="single", is_final=True)
    assert not any(said().values()), "clinicians also look for other eye problems"


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("other_finding", "Something other than a cataract may be visible. A clinician looks at it; the AI checks for"),
        ("no_colour", "The photo has no colour: it is black and white or near infrared."),
    ],
)
def test_a_photo_with_another_finding_or_no_colour_is_never_told_as_normal(
    sender: User, reason: str, sentence: str
) -> None:
    case = make_case("normal", probability=0.02, reasons=[reason], image__uploaded_by=sender)
    shown = words_of(browser(sender).get(f"/results/{case.prediction_id}/"))
    assert "Needs a clinician." in shown and sentence in shown and "robability" not in shown
    assert ("refer today" in shown) == (reason == "other_finding")
    assert ("No sign of cataract, but something else may be visible." in shown) == (reason == "other_finding")
    assert "No answer yet Clinician review pending" in words_of(browser(sender).get("/uploads/"))
    body = program(sender).get(f"{URL}/{case.prediction_id}").json()
    assert (body["reasons"], body["final_result"], body["message"]) == ([reason], None, "Needs a clinician.")
    fhir = program(sender).get(f"{URL}/{case.prediction_id}/fhir").json()
    Bundle.model_validate(fhir)
    (observation,) = resources_of(fhir)["Observation"]
    assert sentence in observation["note"][0]["text"] and observation["status"] == "preliminary"


@pytest.mark.parametrize(("decision", "status"), [("normal", "final"), ("cataract", "provisional")])
def test_a_clinician_who_sees_the_other_finding_confirms_a_normal_of_the_ai(
    sender: User, decision: str, status: str, settings: Any
) -> None:
    settings.REVIEW_SECOND_READ_RATE = 0
    case = make_case(decision, reasons=["other_finding"], image__uploaded_by=sender)
    read(case, "other", ReaderFactory.create())
    body = program(sender).get(f"{URL}/{case.prediction_id}").json()
    assert (body["final_result"]["answer"], body["final_result"]["status"]) == ("other", status)
    assert body["final_result"]["contradicts_ai"] == (decision == "cataract")
    shown = words_of(browser(sender).get(f"/results/{case.prediction_id}/"))
    assert "clinician says: another eye problem." in shown
    assert ("The clinicians disagree with the AI." in shown) == (decision == "cataract")
    if decision == "normal":
        assert "Refer to an eye doctor for an examination." in shown
