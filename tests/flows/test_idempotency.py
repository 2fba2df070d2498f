"""A POST creates its row once: the same Idempotency-Key and body get the same answer, over HTTP."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone

from cataract.core import tokens
from cataract.core.models import ApiToken, IdempotentRequest
from cataract.roles import ROLES
from predictions.releases import store
from predictions.releases.models import Release
from predictions.webhooks import services
from predictions.webhooks.models import WebhookEndpoint
from tests.factories import UserFactory
from tests.releases import make_tiny_release
from tests.review.makers import make_case
from tests.training.makers import capture_published, label_photos

pytestmark = pytest.mark.django_db(transaction=True)
WEBHOOK = {"url": "https://clinic.example/hook", "events": ["prediction.finished"]}
REASON = "Better on the photos of the new camera."


class Caller:
    """A user with every role and an API key."""

    def __init__(self) -> None:
        self.user: User = UserFactory.create(roles=ROLES)
        key = tokens.create_token(user=self.user, name="test", scopes=list(ApiToken.Scope.values), days=1)[1]
        self._client = Client(headers={"Authorization": f"Bearer {key}"})

    def post(self, path: str, body: Any = None, key: str = "k") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self._client.post(f"/api/v1/{path}", body or {}, content_type="application/json", headers=headers)


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> Caller:
    capture_published(monkeypatch)
    return Caller()


@pytest.fixture
def challenger(champion: Release, tmp_path: Path) -> Release:
    return store.register_release(folder=make_tiny_release(tmp_path / "made", seed=3, name="challenger"))


class Creating(NamedTuple):
    """A call that creates: where, with what, and a body that asks for something else."""

    path: str
    body: dict[str, Any]
    other: dict[str, Any]
    status: int


def a_webhook(caller: Caller, challenger: Release) -> Creating:
    return Creating("webhooks", WEBHOOK, WEBHOOK | {"events": ["case.resolved"]}, 201)


def a_training_run(caller: Caller, challenger: Release) -> Creating:
    label_photos()
    asked = {"model": "fast", "reason": "fifty new labels"}
    return Creating("training-runs", asked, asked | {"reason": "another one"}, 202)


def a_promotion(caller: Caller, challenger: Release) -> Creating:
    asked = {"reason": REASON, "acknowledge_too_few": True}
    return Creating(f"releases/{challenger.pk}/promote", asked, asked | {"reason": REASON * 2}, 201)


def a_rollback(caller: Caller, challenger: Release) -> Creating:
    caller.post(f"releases/{challenger.pk}/promote", {"reason": REASON, "acknowledge_too_few": True}, key="")
    return Creating("releases/rollback", {"reason": "It was no better."}, {"reason": "It was much worse."}, 201)


def a_live_test(caller: Caller, challenger: Release) -> Creating:
    asked = {"release": challenger.pk, "kind": "shadow", "photos": 10, "reason": REASON}
    return Creating("live-tests", asked, asked | {"photos": 20}, 201)


def a_blind_answer(caller: Caller, challenger: Release) -> Creating:
    make_case("cataract")
    case = caller.post("review/next", key="").json()
    asked = {"step": "blind", "answer": "normal"}
    return Creating(f"review/cases/{case['id']}/answer", asked, asked | {"answer": "cataract"}, 200)


def an_adjudication(caller: Caller, challenger: Release) -> Creating:
    case = make_case("cataract")
    for answer in ("normal", "cataract"):
        reader = Caller()
        reader.post(f"review/cases/{case.pk}/claim", key="")
        reader.post(f"review/cases/{case.pk}/answer", {"step": "blind", "answer": answer}, key="")
        reader.post(f"review/cases/{case.pk}/answer", {"step": "final", "answer": answer}, key="")
    assert caller.post("review/next", key="").json()["next_step"] == "adjudicate"
    asked = {"step": "adjudicate", "answer": "normal", "reason": "A reflection."}
    return Creating(f"review/cases/{case.pk}/answer", asked, asked | {"answer": "cataract"}, 200)


MAKERS: list[Callable[[Caller, Release], Creating]] = [
    a_webhook,
    a_training_run,
    a_promotion,
    a_rollback,
    a_live_test,
    a_blind_answer,
    an_adjudication,
]


def rows() -> dict[str, int]:
    """The number of rows in each of our tables, without those of idempotency keys."""
    ours = [m for app in ("predictions", "review", "training") for m in apps.get_app_config(app).get_models()]
    return {model.__name__: model._default_manager.count() for model in ours if model is not IdempotentRequest}


@pytest.mark.parametrize("make", MAKERS, ids=[make.__name__ for make in MAKERS])
def test_a_retry_gets_the_same_answer_and_creates_nothing(
    caller: Caller, challenger: Release, make: Callable[[Caller, Release], Creating]
) -> None:
    call = make(caller, challenger)
    first = caller.post(call.path, call.body)
    assert first.status_code == call.status and "Idempotency-Replayed" not in first, first.content
    made = rows()
    again = caller.post(call.path, call.body)
    assert (again.status_code, again.json()) == (call.status, first.json())
    assert again.headers.get("Location") == first.headers.get("Location") and again["Idempotency-Replayed"] == "true"
    other = caller.post(call.path, call.other)
    assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
    assert rows() == made
    assert first.content.decode() not in str(list(IdempotentRequest.objects.values())), "answers are not kept"


def test_two_who_promote_are_each_counted_once(caller: Caller, challenger: Release, settings: Any) -> None:
    settings.PROMOTION_NEEDS_TWO = True
    asked = {"reason": REASON, "acknowledge_too_few": True}
    wanted = [caller.post(f"releases/{challenger.pk}/promote", asked) for _ in range(2)]
    assert {answer.status_code for answer in wanted} == {202} and wanted[0].json() == wanted[1].json()
    other = Caller()
    confirmed = [other.post(f"releases/{challenger.pk}/confirm") for _ in range(2)]
    assert {answer.status_code for answer in confirmed} == {201} and confirmed[0].json() == confirmed[1].json()


def test_the_secret_of_a_webhook_lies_in_its_row_alone(caller: Caller) -> None:
    """The row needs it to sign; a retry within the day gets it again, until the row is deleted."""
    first = caller.post("webhooks", WEBHOOK).json()
    assert caller.post("webhooks", WEBHOOK).json()["secret"] == first["secret"]
    assert first["secret"] not in str(list(IdempotentRequest.objects.values()))
    assert Caller().post("webhooks", WEBHOOK).json()["secret"] != first["secret"], "keys are each caller's own"
    WebhookEndpoint.objects.filter(pk=first["id"]).delete()
    gone = caller.post("webhooks", WEBHOOK)
    assert gone.status_code == 422 and "deleted" in gone.json()["detail"]


def test_while_the_first_runs_the_second_is_told_to_wait(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    running, go_on = threading.Event(), threading.Event()
    check = services.check_address

    def wait(url: str) -> None:
        running.set()
        assert go_on.wait(60)
        check(url)

    monkeypatch.setattr(services, "check_address", wait)

    def send() -> Any:
        try:
            return caller.post("webhooks", WEBHOOK)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send)
        assert running.wait(60)
        again = caller.post("webhooks", WEBHOOK)
        go_on.set()
        assert first.result().status_code == 201
    assert (again.status_code, again.json()["code"], again["Retry-After"]) == (409, "request_running", "1")
    assert WebhookEndpoint.objects.count() == 1


def test_a_refusal_leaves_the_key_free(caller: Caller) -> None:
    assert caller.post("webhooks", WEBHOOK | {"url": "https://localhost/"}).status_code == 422
    assert not IdempotentRequest.objects.exists()
    assert caller.post("webhooks", WEBHOOK).status_code == 201


def test_a_request_that_died_is_made_good_by_its_retry(caller: Caller) -> None:
    """Killed in the middle: what it did was not committed, and its claim expires after a minute."""
    assert caller.post("webhooks", WEBHOOK).status_code == 201
    WebhookEndpoint.objects.all().delete()
    IdempotentRequest.objects.update(made="")
    assert caller.post("webhooks", WEBHOOK).status_code == 409
    IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert caller.post("webhooks", WEBHOOK).status_code == 201 and WebhookEndpoint.objects.count() == 1


def test_a_claim_that_was_taken_over_undoes_what_its_first_owner_did(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = services.check_address

    def too_slow(url: str) -> None:
        check(url)
        IdempotentRequest.objects.update(created_at=timezone.now() + timedelta(seconds=1))  # another request runs it

    monkeypatch.setattr(services, "check_address", too_slow)
    assert caller.post("webhooks", WEBHOOK).status_code == 409
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("key", ["x" * 129, "tab\tkey"])
def test_a_strange_key_is_refused(caller: Caller, key: str) -> None:
    answer = caller.post("webhooks", WEBHOOK, key=key)
    assert answer.status_code == 422 and answer.json()["field"] == "Idempotency-Key"


def test_every_post_that_creates_takes_a_key(client: Client) -> None:
    """By the OpenAPI document. A POST without a key changes an existing row, and repeating it changes nothing more."""
    creates_nothing = {
        "/api/v1/batches/{batch_id}/cancel",
        "/api/v1/batches/{batch_id}/resume",
        "/api/v1/live-tests/{test_id}/stop",
        "/api/v1/review/next",
        "/api/v1/webhook-deliveries/{delivery_id}/redeliver",
    }
    client.force_login(UserFactory.create(roles=["admin"]))
    paths = client.get("/api/v1/schema/?format=json").json()["paths"]
    posts = {path: methods["post"] for path, methods in paths.items() if "post" in methods}
    without = {
        path
        for path, post in posts.items()
        if "Idempotency-Key" not in [parameter["name"] for parameter in post.get("parameters", [])]
    }
    assert without == creates_nothing
    assert {"409", "422"} <= set.intersection(*(set(posts[path]["responses"]) for path in set(posts) - without))
