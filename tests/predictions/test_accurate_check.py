"""A share of the sure answers of the fast model is checked by the accurate one: a disagreement brings a reader in."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core import tokens
from cataract.ml.statistics.draws import is_in_share
from cataract.ops.notices import conditions
from cataract.ops.notices import worker as notices
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.releases import services as releases
from predictions.releases import store
from predictions.releases.models import Release
from review.agreement import in_service
from review.cases.models import ReviewCase
from review.queue import opening
from review.reading import services as reading
from tests.factories import PredictionFactory, ReaderFactory, UserFactory, jpeg_bytes
from tests.releases import make_tiny_release
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


def caller_of(role: str) -> Client:
    _, key = tokens.create_token(user=UserFactory.create(roles=[role]), name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(caller: Client, seed: int) -> dict[str, Any]:
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed))
    answer = caller.post("/api/v1/predictions", {"photo": photo, "eye": "OD", "patient": f"P-{seed}"})
    assert answer.status_code == 201, answer.json()
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def contrary(db: None, tmp_path: Path) -> Release:
    """A champion whose accurate model says the opposite of the fast one."""
    folder = make_tiny_release(tmp_path / "contrary", contrary=True)
    release = store.register_release(folder=folder)
    releases.make_champion(release=release, user=None, reason="Its two models disagree.")
    return release


def test_a_check_finds_what_the_fast_model_gets_wrong(contrary: Release, settings: Any) -> None:
    settings.AUDIT_RATE = 1e-9
    caller = caller_of("integrator")
    settings.ACCURATE_CHECK_RATE = 0.0
    alone = send(caller, 1)
    settings.ACCURATE_CHECK_RATE = 1.0
    checked = send(caller, 2)
    assert alone["reasons"] == [] and alone["state"] == "final" and not alone["needs_review"]
    assert checked["reasons"] == ["disagreement"] and checked["state"] == "waiting" and checked["needs_review"]
    assert {alone["model_used"], checked["model_used"]} == {"fast"}, "the cascade's own answer stays"
    assert alone["prediction"] == checked["prediction"] == "normal"
    opening.open_cases()
    assert ReviewCase.objects.get().prediction_id == UUID(checked["id"])
    assert in_service.rows() == [], "a photo chosen for what was known of it stands for no other"


def test_the_check_draws_its_share_and_nothing_else_changes(champion: Any, settings: Any) -> None:
    settings.AUDIT_RATE, settings.ACCURATE_CHECK_RATE = 1e-9, 0.5
    rows = [services.upload_photo(data=jpeg_bytes(seed), user=None, source="api") for seed in range(10)]
    sure = [row for row in rows if row.route == "fast"]
    checked = [row for row in sure if is_in_share(f"accurate-check:{row.image.sha256}", 0.5)]
    assert 0 < len(checked) < len(sure) and set(checked) == set(Prediction.objects.checked_by_accurate())
    assert not any(row.needs_review for row in sure), "these two models agree"


def test_disagreements_are_counted_over_time_and_above_the_limit_a_notice(contrary: Release, settings: Any) -> None:
    settings.ACCURATE_CHECK_RATE, settings.AUDIT_RATE = 1.0, 1e-9
    caller = caller_of("integrator")
    send(caller, 1)
    drift = caller_of("admin").get("/api/v1/drift").json()["accurate_checks"]
    assert drift["recent"]["photos"] == drift["recent"]["disagreed"] == 1 and drift["recent"]["share"] == 1
    assert drift["reference"] == {"photos": 0, "disagreed": 0, "share": None, "low": 0, "high": 1}
    settings.ACCURATE_CHECK_LIMIT = 0.5
    assert list(conditions.disagreements()) == [], "one photo says little"
    for _ in range(6):
        PredictionFactory.create(release=contrary, route="fast", reasons=["disagreement"])
    (finding,) = conditions.disagreements()
    assert finding.detail == "7 of 7 checked answers in 28 days; 50% are expected at most"
    reading.store_blind_answer(case=make_case("normal"), reader=ReaderFactory.create(), answer="normal")
    admin = Client()
    admin.force_login(UserFactory.create(roles=["admin"]))
    assert "Sure answers that the accurate model contradicts" in admin.get("/review/agreement/").content.decode()
    notices.sweep()
    assert finding.detail in admin.get("/notices/").content.decode()
