"""The same review over the API."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from cataract.core.models import ApiToken
from cataract.core.tokens import digest, new_key
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from tests.factories import AdjudicatorFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_second_reader_by_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = 0.0


def with_key(user: User, *scopes: str) -> APIClient:
    key = new_key()
    expires = timezone.now() + timedelta(days=1)
    ApiToken.objects.create(user=user, name="test", digest=digest(key), scopes=list(scopes), expires_at=expires)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def test_blind_then_final_then_the_second_reader_then_the_adjudicator() -> None:
    make_case("cataract")
    one, two = with_key(ReaderFactory.create(), "review"), with_key(ReaderFactory.create(), "review")
    judge = with_key(AdjudicatorFactory.create(), "review")
    case = one.post("/api/v1/review/next").json()
    address = f"/api/v1/review/cases/{case['id']}"
    assert (case["next_step"], case["ai"], case["reading"], case["readings"]) == ("blind", None, None, [])
    for hidden in ("probability", "reasons", "release", "prediction", "propensity", "priority"):
        assert hidden not in str(case)

    early = one.post(f"{address}/answer", {"step": "final", "answer": "normal"}, format="json")
    assert early.status_code == 409 and early.headers["Content-Type"] == "application/problem+json"
    shown = one.post(f"{address}/answer", {"step": "blind", "answer": "normal"}, format="json").json()
    assert (shown["next_step"], shown["ai"]["decision"], shown["ai"]["reasons"]) == ("final", "cataract", ["uncertain"])
    one.post(f"{address}/answer", {"step": "final", "answer": "normal"}, format="json")
    assert one.post("/api/v1/review/next").status_code == 204

    assert two.post("/api/v1/review/next").json()["id"] == case["id"]
    two.post(f"{address}/answer", {"step": "blind", "answer": "cataract"}, format="json")
    found = judge.post("/api/v1/review/next").json()
    assert found["next_step"] == "adjudicate" and found["ai"] is None
    assert sorted(reading["final_answer"] for reading in found["readings"]) == ["cataract", "normal"]
    assert judge.post(f"{address}/answer", {"step": "adjudicate", "answer": "normal"}, format="json").status_code == 422
    answer = {"step": "adjudicate", "answer": "normal", "reason": "A reflection."}
    assert judge.post(f"{address}/answer", answer, format="json").json()["ai"] is None
    assert Label.objects.get().provenance == "adjudicated"


def test_skip_undo_renew_and_release() -> None:
    make_case("normal")
    client = with_key(ReaderFactory.create(), "review")
    address = f"/api/v1/review/cases/{client.post('/api/v1/review/next').json()['id']}"
    assert client.post(f"{address}/renew").status_code == 200
    assert client.post(f"{address}/skip", {"reason": "Ask a colleague"}, format="json").json()["next_step"] == ""
    assert client.post(f"{address}/renew").status_code == 409
    assert client.post(f"{address}/claim").json()["next_step"] == "blind"
    client.post(f"{address}/answer", {"step": "blind", "answer": "normal"}, format="json")
    assert client.post(f"{address}/undo").json()["next_step"] == "blind"
    assert Reading.objects.get().retracted_at is not None
    assert client.post(f"{address}/release").status_code == 200
    assert ReviewCase.objects.get().claimed_by is None


def test_a_share_is_shown_the_ai_first(settings: Any) -> None:
    settings.REVIEW_AI_FIRST_RATE = 1.0
    make_case("cataract")
    client, other = with_key(ReaderFactory.create(), "review"), with_key(ReaderFactory.create(), "review")
    case = client.post("/api/v1/review/next").json()
    assert (case["next_step"], case["ai_shown_first"], case["ai"]["decision"]) == ("blind", True, "cataract")
    address = f"/api/v1/review/cases/{case['id']}"
    assert other.get(address).json()["ai"] is None, "not to one who does not hold it"
    client.post(f"{address}/answer", {"step": "blind", "answer": "cataract"}, format="json")
    assert Reading.objects.get().ai_shown_first and not Label.objects.get().may_train


def test_a_key_without_the_scope_and_a_person_without_the_role_are_refused() -> None:
    case = make_case()
    for client in (with_key(ReaderFactory.create(), "upload", "read"), with_key(UserFactory.create(), "review")):
        for address in ("queue", f"cases/{case.pk}", f"cases/{case.pk}/photo"):
            assert client.get(f"/api/v1/review/{address}").status_code == 403
        assert client.post("/api/v1/review/next").status_code == 403
    assert APIClient().get("/api/v1/review/queue").status_code == 401
    reader = with_key(ReaderFactory.create(), "review")
    assert reader.get(f"/api/v1/review/cases/{case.pk}/photo").status_code == 403, "not held, so not shown"
    assert reader.get(f"/api/v1/review/cases/{case.pk}").json()["ai"] is None
