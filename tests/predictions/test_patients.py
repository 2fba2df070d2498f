"""Patients over HTTP: both eyes, the worst one first, visits by local day, letters, and who may see them."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from predictions.answering import final_results
from predictions.answering.models import Disclosure, FinalResult, Prediction
from predictions.patients.findings import Finding, finding_of
from predictions.patients.overview import overview_of
from predictions.photos.models import EyeImage
from predictions.sites.models import Patient, Site
from tests.factories import EyeImageFactory, PredictionFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture
def screener() -> User:
    return UserFactory.create(roles=["screener"])


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def photo(user: User | None, eye: str = "OD", key: str = "P-001", *, days_ago: float = 0, **values: Any) -> Prediction:
    """An answered photo of this patient, taken that many days ago; with `answer`, decided by one clinician."""
    answer, status = values.pop("answer", ""), values.pop("status_of_result", "final")
    taken = values.pop("captured_at", timezone.now() - timedelta(days=days_ago))
    image = EyeImageFactory.create(uploaded_by=user, patient_key=key, eye=eye, captured_at=taken)
    prediction = PredictionFactory.create(image=image, **values)
    if answer:
        final_results.settle_by_people(image=image, answer=answer, basis="single", is_final=status == "final")
    else:
        final_results.settle_by_ai(prediction)
    return prediction


def patient() -> Patient:
    return Patient.objects.get(key="P-001")


def page_of(user: User) -> str:
    answer = client_of(user).get(reverse("predictions:patient", args=[patient().pk]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def body_of(user: User) -> dict[str, Any]:
    answer = client_of(user).get(f"/api/v1/patients/{patient().pk}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def eye_of(body: dict[str, Any], name: str) -> dict[str, Any]:
    return next(eye for eye in body["eyes"] if eye["eye"] == name)


SURE: dict[str, Any] = {"needs_review": False, "reasons": []}


# One patient ----------------------------------------------------------------------------------------------------------
def test_both_eyes_stand_side_by_side_and_the_worst_one_leads(screener: User) -> None:
    photo(screener, "OD", decision="normal", **SURE)
    left = photo(screener, "OS", decision="normal", answer="cataract", **SURE)
    html = page_of(screener)
    assert html.index("Right eye (OD)</h2>") < html.index("Left eye (OS)</h2>"), "as the examiner sees them"
    assert "Left eye (OS): a clinician says: cataract." in html, "the worst eye is the headline"
    assert "The AI answered: No sign of cataract in this photo." in html
    assert "P-001" not in reverse("predictions:patient", args=[patient().pk])
    body = body_of(screener)
    assert (body["key"], body["worst_eye"], body["site"]) == ("P-001", "OS", Site.FIRST_NAME)
    assert eye_of(body, "OS")["result"] == str(left.pk) and eye_of(body, "OS")["finding"] == "cataract"
    assert eye_of(body, "OD")["finding"] == "normal"
    (visit,) = body["visits"]
    assert [(each["image"]["eye"], each["decision"]) for each in visit["results"]] == [
        ("OD", "normal"),
        ("OS", "normal"),
    ]


def test_the_newest_photo_counts_even_while_it_waits(screener: User) -> None:
    photo(screener, days_ago=9, decision="cataract", **SURE)
    newest = photo(screener, days_ago=1, decision="normal")
    body = body_of(screener)
    assert eye_of(body, "OD") | {"next": ""} == {
        "eye": "OD",
        "finding": "waiting",
        "refer_unjudged": False,
        "message": "Needs a clinician.",
        "next": "",
        "result": str(newest.pk),
    }
    assert eye_of(body, "OS")["finding"] is None and eye_of(body, "OS")["message"] == "No photo yet."
    assert "No photo of this eye yet." in page_of(screener)
    assert f"/upload/?other_eye_of={newest.pk}" in page_of(screener)


def test_an_eye_that_cannot_be_judged_twice_is_to_be_referred(screener: User) -> None:
    refer = "two photos of this eye could not be judged"
    photo(screener, days_ago=3, decision="ungradable", probability=None)
    assert refer not in page_of(screener) and not eye_of(body_of(screener), "OD")["refer_unjudged"]
    photo(screener, "OS", days_ago=2, decision="ungradable", probability=None)
    assert refer not in page_of(screener), "one of each eye"
    photo(screener, days_ago=1, decision="ungradable", probability=None, answer="ungradable")
    assert f"Refer to an eye doctor: {refer}" in page_of(screener)
    assert eye_of(body_of(screener), "OD")["refer_unjudged"]
    photo(screener, decision="normal", **SURE)
    assert refer not in page_of(screener), "a photo that can be judged ends it"


def test_a_photo_that_shows_no_eye_does_not_count_as_hard_to_judge(screener: User) -> None:
    photo(screener, days_ago=2, decision="ungradable", probability=None, answer="not_an_eye")
    photo(screener, days_ago=1, decision="ungradable", probability=None)
    assert not eye_of(body_of(screener), "OD")["refer_unjudged"]


def test_a_photo_that_was_asked_about_again_counts_once(screener: User) -> None:
    first = photo(screener, decision="ungradable", probability=None)
    PredictionFactory.create(image=first.image, decision="ungradable", probability=None)
    body = body_of(screener)
    assert not eye_of(body, "OD")["refer_unjudged"] and len(body["visits"][0]["results"]) == 1


@given(
    right=st.lists(st.sampled_from(list(Finding)), max_size=3),
    left=st.lists(st.sampled_from(list(Finding)), max_size=3),
)
def test_the_worst_of_the_newest_results_leads(right: list[Finding], left: list[Finding]) -> None:
    """In every combination: cataract, other pathology, cannot judge, waiting, no sign; the right eye of two alike."""
    now = timezone.now()
    photos = [made(eye, finding, now - timedelta(days=age))
              for eye, findings in (("OD", right), ("OS", left)) for age, finding in enumerate(findings)]  # fmt: skip
    overview = overview_of(Patient(key="P-1"), photos)
    newest = {"OD": right[:1], "OS": left[:1]}
    order = ["cataract", "other", "ungradable", "waiting", "normal"]
    ranked = sorted((order.index(found[0]), eye) for eye, found in newest.items() if found)
    assert (overview.worst.eye if overview.worst else None) == (ranked[0][1] if ranked else None)
    assert [eye.finding for eye in overview.eyes] == [next(iter(newest["OD"]), None), next(iter(newest["OS"]), None)]


def made(eye: str, finding: Finding, taken: datetime) -> Prediction:
    """An unsaved photo that says this."""
    image = EyeImage(eye=eye, captured_at=taken, site=Site(pk=1))
    prediction = Prediction(image=image, status="done", decision="normal", created_at=taken)
    prediction.standing_results = (  # type: ignore[attr-defined]
        [] if finding == Finding.WAITING else [FinalResult(answer=finding.value, basis="single", status="final")]
    )
    assert finding_of(prediction) == finding
    return prediction


# Visits ---------------------------------------------------------------------------------------------------------------
def test_a_visit_is_one_local_day(screener: User) -> None:
    """18:00 and 18:59 UTC are one evening in London, and two days in Kolkata."""
    for minute, eye in ((0, "OD"), (59, "OS")):
        photo(screener, eye, captured_at=datetime(2026, 3, 5, 18, minute, tzinfo=UTC), decision="normal", **SURE)
    with timezone.override("UTC"):
        assert [visit["day"] for visit in body_of(screener)["visits"]] == ["2026-03-05"]
    with timezone.override("Asia/Kolkata"):  # 23:30 and 00:29
        assert [visit["day"] for visit in body_of(screener)["visits"]] == ["2026-03-06", "2026-03-05"]


def test_a_photo_without_a_time_belongs_to_the_day_on_which_it_arrived(screener: User) -> None:
    photo(screener, days_ago=30, decision="normal", **SURE)
    photo(screener, captured_at=None, decision="normal", **SURE)
    days = [visit["day"] for visit in body_of(screener)["visits"]]
    assert days[0] == f"{timezone.localdate():%Y-%m-%d}" and len(days) == 2
    html = page_of(screener)
    assert html.count('<svg class="chart"') == 1, "the right eye has two visits, the left one none"
    assert f"<title>The right eye (OD) over 2 visits</title><desc>{days[1]} No sign of cataract; {days[0]}" in html


# The list -------------------------------------------------------------------------------------------------------------
def test_the_list_finds_by_the_beginning_of_the_key(screener: User) -> None:
    for key in ("A-1", "A-2", "B-1", "a_3"):
        photo(screener, key=key, decision="normal", **SURE)
    client = client_of(screener)
    html = client.get("/patients/?key=a-").content.decode()
    assert ">A-1</a>" in html and ">A-2</a>" in html and ">B-1</a>" not in html and ">a_3</a>" not in html
    assert [row["key"] for row in client.get("/api/v1/patients?key=B").json()["results"]] == ["B-1"]
    assert "No such patient" in client.get("/patients/?key=Z").content.decode()
    assert "No such patient" in client.get("/patients/?key=%00").content.decode()
    assert len(client.get("/api/v1/patients").json()["results"]) == 4


# Who may see what -----------------------------------------------------------------------------------------------------
def test_another_screeners_patient_is_not_found(screener: User) -> None:
    photo(screener, decision="normal", **SURE)
    other = client_of(UserFactory.create(roles=["screener"]))
    for name in ("patient", "result-letter", "referral-letter", "result-pdf", "referral-pdf"):
        assert other.get(reverse(f"predictions:{name}", args=[patient().pk])).status_code == 404
    assert other.get(f"/api/v1/patients/{patient().pk}").status_code == 404
    assert "P-001" not in other.get("/patients/").content.decode()
    assert other.get("/api/v1/patients").json()["results"] == []
    auditor = client_of(UserFactory.create(roles=["auditor"]))
    assert "P-001" in auditor.get("/patients/").content.decode()


def test_of_a_shared_patient_each_screener_sees_the_own_photos(screener: User) -> None:
    other = UserFactory.create(roles=["screener"])
    photo(screener, "OD", decision="normal", **SURE)
    photo(other, "OS", decision="cataract", **SURE)
    assert [eye["finding"] for eye in body_of(screener)["eyes"]] == ["normal", None]
    assert [eye["finding"] for eye in body_of(other)["eyes"]] == [None, "cataract"]


@pytest.mark.parametrize(
    "address", ["/patients/{}/", "/patients/{}/result/", "/patients/{}/referral.pdf", "/api/v1/patients/{}"]
)
def test_whoever_opens_a_patient_reads_no_photo_of_it_blind(address: str) -> None:
    person = UserFactory.create(roles=["reader", "auditor"])
    image = EyeImageFactory.create(patient_key="P-001")
    case = make_case("cataract", image=image)
    client = client_of(person)
    assert client.get(f"/review/cases/{case.pk}/").status_code == 200
    assert client.get(address.format(patient().pk)).status_code == 200
    assert Disclosure.objects.filter(user=person, image=image).exists()
    assert client.post(f"/review/cases/{case.pk}/claim/").status_code == 409


def test_the_list_discloses_the_results_that_it_shows_and_no_others(screener: User) -> None:
    photo(screener, days_ago=5, decision="normal", **SURE)
    newest = photo(screener, decision="normal", **SURE)
    client_of(screener).get("/patients/")
    assert list(Disclosure.objects.values_list("prediction", flat=True)) == [newest.pk]


# Letters --------------------------------------------------------------------------------------------------------------
def letter(user: User, kind: str) -> str:
    """The letter as a page; its PDF holds the same sentences."""
    client = client_of(user)
    html = client.get(f"/patients/{patient().pk}/{kind}/").content.decode()
    file = client.get(f"/patients/{patient().pk}/{kind}.pdf")
    assert (file.status_code, file["Content-Type"]) == (200, "application/pdf")
    assert "P-001" not in file["Content-Disposition"]
    words = "".join(text_of(file.content).split())
    article = html.split('<article class="letter">')[1].split("</article>")[0]
    for sentence in re.findall(r"<(?:p|h1|h2|td)>([^<]+)</", article):
        assert "".join(sentence.replace("&#x27;", "'").split()) in words, sentence
    return str(article)


def text_of(pdf: bytes) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_the_letters_say_both_eyes_in_plain_words(screener: User, settings: Any) -> None:
    right = photo(screener, "OD", decision="normal", answer="cataract", **SURE)
    photo(screener, "OS", decision="normal", **SURE)
    Site.objects.update(letterhead="Eye Clinic North\n1 High Street")
    html = letter(screener, "result")
    assert "The photo shows signs of a cataract" in html and "The photo shows no sign of a cataract." in html
    assert html.count("It was checked for cataract only") == 1, "what clinicians read was not"
    assert "Decided by a clinician." in html and "Decided by the AI alone." in html
    assert "Eye Clinic North\n1 High Street" in html and str(right.release_id) in html
    assert settings.INTENDED_USE.split(".")[1].strip() in html and "Signature" in html
    assert f"{timezone.localtime():%Y-%m-%d}" in html and html.count("/thumb/") == 2
    html = letter(screener, "referral")
    assert "The photo of the right eye (OD) shows signs of cataract." in html
    assert "<td>Signs of cataract</td><td>a clinician</td><td>final</td>" in html
    assert screener.username not in html


def test_a_letter_never_passes_an_old_answer_off_as_the_newest(screener: User) -> None:
    photo(screener, "OD", days_ago=9, decision="normal", **SURE)
    photo(screener, "OD", decision="normal")
    photo(screener, "OS", decision="normal", needs_review=True, reasons=["audit_sample"])
    html = letter(screener, "result")
    assert "There is no result yet: a clinician still has to look at the newest photo of this eye." in html
    assert html.count("no sign of a cataract") == 1, "of the left eye"
    assert "This answer is provisional. A clinician still checks it" in html
    html = letter(screener, "referral")
    assert "<td>No result yet</td><td>-</td><td>waiting for a clinician</td>" in html
    assert "<td>No sign of cataract (checked for cataract only)</td><td>the AI alone</td><td>provisional</td>" in html


def test_a_letter_refers_an_eye_that_could_not_be_judged_twice(screener: User) -> None:
    for days in (2, 1):
        photo(screener, days_ago=days, decision="ungradable", probability=None, answer="ungradable")
    assert "not the first photo that could not be judged. Please see an eye doctor" in letter(screener, "result")
    assert "The photo of the right eye (OD) could not be judged." in letter(screener, "referral")
    assert "No photo of this eye was taken." in letter(screener, "result")
