"""One result: explanation, similar photos, FHIR; and the state of the system."""

import io
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from fhir.resources.R4B.bundle import Bundle
from PIL import Image

from cataract.core import tokens
from cataract.ml.statistics import drift
from predictions.answering.models import Disclosure, FinalResult, Prediction
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from tests.factories import LabelFactory, UserFactory, jpeg_bytes
from tests.record import lifted

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/predictions"


class Caller:
    """A client with an API key."""

    def __init__(self, role: str = "integrator") -> None:
        self.user = UserFactory.create(roles=[role])
        _, key = tokens.create_token(user=self.user, name="test", scopes=["upload", "read"], days=1)
        self.client = Client(headers={"Authorization": f"Bearer {key}"})

    def send(self, seed: int, patient: str = "", opacity: float = 0.0, eye: str = "OD") -> dict[str, Any]:
        photo = SimpleUploadedFile("a.jpg", jpeg_bytes(seed, opacity=opacity))
        answer = self.client.post(URL, {"photo": photo, "eye": eye, "patient": patient or f"P-{seed}"})
        assert answer.status_code == 201, answer.json()
        found: dict[str, Any] = answer.json()
        return found

    def get(self, address: str, **headers: str) -> Any:
        return self.client.get(address, headers=headers)


@pytest.fixture
def caller(champion: Any) -> Caller:
    return Caller()


def test_the_explanation_is_a_picture_for_who_may_see_the_result(caller: Caller) -> None:
    address = f"{URL}/{caller.send(1)['id']}/explanation"
    answer = caller.get(address, Accept="image/png")
    assert answer.status_code == 200 and answer["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (320, 320)
    assert Caller().get(address).status_code == 404


def test_without_an_answer_there_is_nothing_to_explain(caller: Caller) -> None:
    Release.objects.update(status="retired")
    answer = caller.get(f"{URL}/{caller.send(1)['id']}/explanation", Accept="image/png")
    assert answer.status_code == 409 and answer.json()["code"] == "no_explanation"
    assert answer["Content-Type"] == "application/problem+json"


def test_similar_cases_are_confirmed_and_of_other_patients(caller: Caller) -> None:
    asked = caller.send(1, "P-1", 1.0)
    same_patient, confirmed, other_sender = caller.send(2, "P-1", 1.0), caller.send(3, "P-3", 0.9), Caller()
    foreign = other_sender.send(4, "P-4", 1.0)
    caller.send(5, "P-5", 1.0)  # unconfirmed
    for row in (same_patient, confirmed, foreign):
        LabelFactory.create(image=EyeImage.objects.get(pk=row["image"]["id"]), provenance="blind")
    with lifted():
        Disclosure.objects.all().delete()
    cases = caller.get(f"{URL}/{asked['id']}/similar").json()["cases"]
    assert [case["image"] for case in cases] == [confirmed["image"]["id"]]
    assert cases[0]["answer"] == "cataract" and -1 <= cases[0]["similarity"] <= 1
    assert Disclosure.objects.filter(user=caller.user).exists()
    assert caller.client.get(cases[0]["photo"]).status_code == 302  # pages take a session
    auditor = Caller("auditor")
    assert len(auditor.get(f"{URL}/{asked['id']}/similar").json()["cases"]) == 2


@pytest.mark.parametrize(
    ("change", "finding", "report_status", "status"),
    [
        ({}, "Present", "preliminary", "preliminary"),
        ({"decision": "ungradable", "probability": None}, "error", "preliminary", "preliminary"),
        ({"status": "queued", "decision": "", "done_at": None}, "temp-unknown", "registered", "registered"),
        ({"status": "failed", "decision": "", "needs_review": True}, "not-performed", "registered", "cancelled"),
    ],
)
def test_fhir_is_valid_and_an_ungradable_photo_is_no_negative(
    caller: Caller, change: dict[str, Any], finding: str, report_status: str, status: str
) -> None:
    row = caller.send(1, opacity=1.0, eye="OS")
    with lifted():
        FinalResult.objects.all().delete()  # it waits for clinicians
    with lifted():
        Prediction.objects.filter(pk=row["id"]).update(**change)
    answer = caller.get(f"{URL}/{row['id']}/fhir")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("application/fhir+json")
    body = answer.json()
    Bundle.model_validate(body)
    report, observation, device = (entry["resource"] for entry in body["entry"][:3])
    assert observation["bodySite"]["coding"][0]["code"] == "8966001"
    assert (report["status"], observation["status"]) == (report_status, status)
    assert report["result"][0]["reference"] == body["entry"][1]["fullUrl"]
    assert "Not a diagnosis" in report["conclusion"] and row["release"] in str(device)
    value = observation.get("valueCodeableConcept") or observation["dataAbsentReason"]
    coding = value["coding"][0]
    assert finding in (coding["display"], coding["code"])
    assert ("valueCodeableConcept" in observation) != ("dataAbsentReason" in observation)
    assert ("meta" in observation) == bool(Prediction.objects.get().decision), "AIAST only where the AI answered"


def test_the_system_says_how_it_does_without_a_broker(caller: Caller, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    caller.send(1)
    body = caller.get("/api/v1/system").json()
    assert body["queues"] is None and body["workers"] is None and body["milliseconds_of"] == 1
    assert body["milliseconds"]["p50"] > 0 and body["memory_bytes"]["process"] > 1_000_000
    assert {"python", "django", "onnxruntime", "lightgbm"} <= set(body["versions"])
    assert Caller("screener").get("/api/v1/system").status_code == 403


def test_drift_says_nothing_of_few_photos_and_finds_darker_ones(caller: Caller) -> None:
    caller.send(1)
    body = caller.get("/api/v1/drift").json()
    assert body["measures"]["brightness"]["verdict"] == "not_enough_data" and body["recent"]["photos"] == 1
    assert body["measures"]["brightness"]["psi"] is None
    assert set(body["reasons"]["recent"].values()) == {0.0} and set(body["reasons"]["reference"].values()) == {None}
    with lifted():
        Prediction.objects.update(reasons=["no_colour", "other_finding"])
    recent = caller.get("/api/v1/drift").json()["reasons"]["recent"]
    assert {reason for reason, share in recent.items() if share == 1} == {"no_colour", "other_finding"}
    template, rng = EyeImage.objects.get(), np.random.default_rng(0)
    prediction = Prediction.objects.get()
    for days, mean in ((30, 120.0), (1, 80.0)):
        images = [
            EyeImage(
                **{
                    field.attname: getattr(template, field.attname)
                    for field in EyeImage._meta.concrete_fields
                    if field.name not in ("id", "sha256", "quality")
                },
                sha256=f"{days}-{number}",
                quality={"brightness": float(rng.normal(mean, 20)), "sharpness": float(rng.normal(10, 2))},
            )
            for number in range(150)
        ]
        EyeImage.objects.bulk_create(images)
        moment = timezone.now() - timedelta(days=days)
        Prediction.objects.bulk_create(
            Prediction(
                image=image,
                status="done",
                decision="normal",
                release_id=prediction.release_id,
                review_propensity=0.05,
                created_at=moment,
                done_at=moment,
            )
            for image in images
        )
    measures = caller.get("/api/v1/drift").json()["measures"]
    assert measures["brightness"]["verdict"] == "large" and measures["sharpness"]["verdict"] == "stable"
    assert (measures["brightness"]["n_reference"], measures["brightness"]["n_recent"]) == (150, 151)
    assert measures["fast_probability"]["verdict"] == "not_enough_data"
    assert caller.get("/api/v1/drift?days=0").status_code == caller.get("/api/v1/drift?days=x").status_code == 422


def test_drift_agrees_with_scipy_and_seldom_cries_wolf() -> None:
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(1)
    false_alarms = 0
    for _ in range(200):
        old, new = rng.normal(size=200), rng.normal(size=150)
        statistic, p = drift.kolmogorov_smirnov(list(old), list(new))
        exact = ks_2samp(old, new)
        assert statistic == pytest.approx(exact.statistic) and p == pytest.approx(exact.pvalue, abs=0.05)
        false_alarms += drift.compare(list(old), list(new)).verdict != "stable"
    assert false_alarms <= 4
    assert drift.population_stability([1.0] * 100, [1.0] * 100) == 0
    assert drift.compare([1.0, float("nan")], [1.0]).verdict == "not_enough_data"
