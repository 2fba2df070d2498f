"""One photo over HTTP, from its sender to two readers and an adjudicator, and back to its sender.

Every step is a request of the person whose step it is. The AI says "normal"; people say otherwise, twice.
"""

import csv
import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from fhir.resources.R4B.bundle import Bundle

from predictions.batches import worker
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookDelivery
from review.cases.models import ReviewCase
from review.queue import opening
from tests.factories import AdjudicatorFactory, ReaderFactory, UserFactory, jpeg_bytes
from tests.predictions.test_result_reaches_sender import browser, program, read, words_of

API = "/api/v1"


def archive(name: str) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, jpeg_bytes(1))
        file.writestr("list.csv", f"file,patient,eye\n{name},P-1,OD\n")
    return SimpleUploadedFile("camp.zip", buffer.getvalue())


@pytest.mark.django_db(transaction=True)
def test_the_answer_of_people_comes_back_to_whoever_sent_the_photo(champion: Any, settings: Any) -> None:
    settings.AUDIT_RATE = 1.0  # each sure answer is checked: the photo goes to readers
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0
    sender = UserFactory.create(roles=["integrator"])
    events = ["case.resolved", "result.amended"]
    webhooks.add_endpoint(user=sender, url="https://example.org/hook", events=events)

    batch = program(sender, "upload", "read").post(f"{API}/batches", {"archive": archive("camp/right.jpg")}).json()
    worker.run_batch(batch["id"])
    (item,) = program(sender).get(f"{API}/batches/{batch['id']}/results").json()["results"]
    result = item["result"]
    assert (result["prediction"], result["state"], result["final_result"]["basis"]) == ("normal", "provisional", "ai")

    opening.open_cases()
    case = ReviewCase.objects.get()
    for reader in ReaderFactory.create_batch(2):
        read(case, "cataract", reader)
    assert_told(sender, batch["id"], result["id"], answer="cataract", status="final", fhir="final", basis="double")
    assert told_by_webhook("case.resolved")["answer"] == "cataract"

    reason = "Seen at the slit lamp: a pigmented scar, the lens is clear."
    amended = program(AdjudicatorFactory.create(), "review").post(
        f"{API}/review/cases/{case.pk}/amend",
        {"answer": "other", "detail": "corneal_opacity", "reason": reason},
        content_type="application/json",
    )
    assert amended.status_code == 200, amended.content
    assert_told(
        sender, batch["id"], result["id"], answer="other", status="amended", fhir="amended", basis="adjudicated"
    )
    assert told_by_webhook("result.amended")["reason"] == reason
    page = words_of(browser(sender).get(f"/results/{result['id']}/"))
    assert reason in page and "Before: Clinicians say: cataract." in page, page


def assert_told(sender: Any, batch: str, prediction: str, *, answer: str, status: str, fhir: str, basis: str) -> None:
    """News, list, page, batch page, CSV, API, FHIR: each says the same, and none names a reader."""
    names = ReviewCase.objects.get().readings.values_list("reader__username", flat=True)
    person, api = browser(sender), program(sender)
    assert "1 new answer" in words_of(person.get("/batches/"))
    assert prediction in person.get("/uploads/?new=true").content.decode()
    words = {"cataract": "Clinicians say: cataract.", "other": "Clinicians say: another eye problem"}[answer]
    short = {"cataract": "Cataract", "other": "Another eye problem"}[answer]
    pages = [person.get(f"/results/{prediction}/"), person.get("/uploads/"), person.get(f"/batches/{batch}/")]
    for page, expected in zip(pages, (words, short, short), strict=True):
        text = words_of(page).partition("Answer State Sent ")[2] or words_of(page)  # the rows, without the filters
        assert expected in text and status.capitalize() in text and "review pending" not in text
        assert not any(name in text for name in names)
    body = api.get(f"{API}/predictions/{prediction}").json()
    told = body["final_result"]
    assert (body["state"], body["decision"]) == (status, "normal")
    assert (told["answer"], told["status"], told["basis"], told["contradicts_ai"]) == (answer, status, basis, True)
    (found,) = api.get(f"{API}/predictions", {"state": status, "changed_since": told["at"]}).json()["results"]
    assert found == body and not any(name in str(body) for name in names)
    stream = api.get(f"{API}/batches/{batch}/results.csv")
    (row,) = csv.DictReader(io.StringIO(b"".join(stream.streaming_content).decode("utf-8-sig")))
    assert (row["prediction"], row["state"], row["final_answer"], row["final_basis"]) == (
        "normal",
        status,
        answer,
        basis,
    )
    assert row["contradicts_ai"] == "yes"
    bundle = api.get(f"{API}/predictions/{prediction}/fhir").json()
    Bundle.model_validate(bundle)
    resources = [entry["resource"] for entry in bundle["entry"]]
    report = next(each for each in resources if each["resourceType"] == "DiagnosticReport")
    assert report["status"] == fhir and words in report["conclusion"]
    kinds = [each["resourceType"] for each in resources]
    assert kinds.count("Observation") == 2 and "Provenance" in kinds
    assert not any(name in str(bundle) for name in names)


def told_by_webhook(event: str) -> Any:
    return WebhookDelivery.objects.get(event=event).payload["final_result"]
