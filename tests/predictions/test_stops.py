"""The safety switch over HTTP: while the AI is off people alone answer, and nothing of the AI is computed or told."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client

from cataract.core.audit.models import Act, AuditEntry
from cataract.ops.notices import worker as notices
from cataract.ops.notices.models import Notice
from predictions.answering import inference
from predictions.answering.models import FinalResult, Prediction
from predictions.answering.worker import run_prediction
from predictions.embeddings.models import Embedding
from predictions.sites.models import Site
from predictions.stops.models import AiStop
from predictions.stops.services import stop_ai
from review.cases.models import ReviewCase
from review.queue import opening
from tests.factories import ReaderFactory, SiteFactory, UserFactory, jpeg_bytes
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db
SWITCH = "/safety-switch/"


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> User:
    return UserFactory.create(roles=["admin"])


@pytest.fixture
def confirmed(admin: User) -> Client:
    """An admin who has signed in just now."""
    return logged_in(admin)


def upload(client: Client, seed: int, **facts: Any) -> Prediction:
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed, opacity=1.0), "image/jpeg")
    answer = client.post(
        "/api/v1/predictions", {"photo": photo, "eye": "OD", **facts}, headers={"Idempotency-Key": f"k{seed}"}
    )
    assert answer.status_code in (201, 202), answer.content
    return Prediction.objects.get(pk=answer.json()["id"])


def test_the_switch_is_one_form_with_a_reason_and_holds_from_the_next_photo_on(
    confirmed: Client, champion: Any
) -> None:
    screener = logged_in(UserFactory.create(roles=["screener"]))
    assert upload(screener, 1).decision, "the AI answers"
    assert "Say why" in confirmed.post(SWITCH, {"reason": " "}, follow=True).content.decode()
    assert not AiStop.objects.exists()
    page = confirmed.post(SWITCH, {"reason": "The new camera misleads it."}, follow=True).content.decode()
    assert "The AI is off at every site" in page and "People only: the AI is switched off." in page
    assert "switched off there already" in confirmed.post(SWITCH, {"reason": "again"}, follow=True).content.decode()

    prediction = upload(screener, 2)
    assert (prediction.status, prediction.decision, prediction.reasons) == ("done", "", ["ai_off"])
    assert prediction.release is None and prediction.probability is None
    assert not FinalResult.objects.filter(prediction=prediction).exists()
    assert not Embedding.objects.filter(image=prediction.image).exists(), "nothing was computed"
    opening.open_cases()
    assert ReviewCase.objects.get(prediction=prediction).priority == 10
    page = screener.get(f"/results/{prediction.pk}/").content.decode()
    assert "People only: the AI is switched off. A clinician will review this photo." in page
    assert screener.get(f"/api/v1/predictions/{prediction.pk}").json()["message"].startswith("People only")
    assert "People only: the AI is switched off." in screener.get("/upload/").content.decode()
    assert "Safety switch" not in screener.get("/upload/").content.decode(), "a screener cannot open it"

    stop = AiStop.objects.get()
    confirmed.post(f"{SWITCH}{stop.pk}/on/", {"reason": "The camera is gone."})
    assert upload(screener, 3).decision
    assert "People only" not in screener.get("/upload/").content.decode()
    assert [*AuditEntry.objects.filter(act__startswith="ai_").order_by("pk").values_list("act", flat=True)] == [
        Act.AI_STOPPED,
        Act.AI_RESUMED,
    ]


def test_a_photo_that_waits_for_a_worker_goes_to_people_too(champion: Any, admin: User, settings: Any) -> None:
    settings.INFERENCE, settings.INFERENCE_WAIT_SECONDS = "worker", 0
    prediction = upload(logged_in(UserFactory.create(roles=["screener"])), 4)
    assert prediction.status == "queued"
    stop_ai(site=None, reason="Wrong answers.", user=admin)
    assert run_prediction(prediction.pk)
    prediction.refresh_from_db()
    assert (prediction.status, prediction.decision, prediction.reasons) == ("done", "", ["ai_off"])


def test_an_answer_that_was_being_computed_is_dropped(
    champion: Any, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = inference.predict_photo

    def stopped_meanwhile(*args: Any) -> Any:
        outcome = compute(*args)
        AiStop.objects.standing().exists() or stop_ai(site=None, reason="Wrong answers.", user=admin)
        return outcome

    monkeypatch.setattr(inference, "_pool", lambda: _Here())
    monkeypatch.setattr(inference, "predict_photo", stopped_meanwhile)
    prediction = upload(logged_in(UserFactory.create(roles=["screener"])), 5)
    assert (prediction.decision, prediction.reasons) == ("", ["ai_off"])
    assert not Embedding.objects.exists()


class _Here:
    """Computes in the calling thread, which shares its transaction with the test."""

    def submit(self, function: Any, *args: Any) -> Any:
        class Done:
            def result(self, timeout: float) -> Any:
                return function(*args)

        return Done()


def test_one_site_is_switched_off_by_itself(champion: Any, confirmed: Client) -> None:
    hill, valley = SiteFactory.create(name="Hill"), SiteFactory.create(name="Valley")
    people = {site: UserFactory.create(roles=["screener"]) for site in (hill, valley)}
    for site, user in people.items():
        user.sites.add(site)
    confirmed.post(SWITCH, {"site": hill.pk, "reason": "A new lamp."})
    answers = {site.name: upload(logged_in(user), 10 + site.pk).reasons for site, user in people.items()}
    assert answers["Hill"] == ["ai_off"] and answers["Valley"] != ["ai_off"]
    assert "switched off at Hill" in logged_in(people[hill]).get("/upload/").content.decode()
    assert "switched off" not in logged_in(people[valley]).get("/upload/").content.decode()
    assert Site.objects.count() >= 2


def test_readers_are_told_nothing_of_the_ai_while_it_is_off(champion: Any, admin: User) -> None:
    case, reader = make_case("cataract"), ReaderFactory.create()
    stop_ai(site=None, reason="Wrong answers.", user=admin)
    client = logged_in(reader)
    client.post("/review/next/")
    page = client.post(f"/review/cases/{case.pk}/", {"step": "blind", "answer": "normal"}, follow=True).content.decode()
    assert "robably cataract" not in page and "The AI" not in page.split("</main>")[0].split("People only", 1)[0]
    case.refresh_from_db()
    assert case.status in (ReviewCase.Status.RESOLVED, ReviewCase.Status.SECOND)
    reading = case.readings.get()
    assert (reading.final_answer, reading.ai_shown_at) == ("normal", None)


def test_the_switch_asks_again_who_you_are_and_belongs_to_admins(admin: User, champion: Any) -> None:
    stale = logged_in(admin)
    session = stale.session
    session["confirmed_at"] = 0
    session.save()
    assert "/accounts/reauthenticate/" in stale.post(SWITCH, {"reason": "x"})["Location"]
    auditor = logged_in(UserFactory.create(roles=["auditor"]))
    assert auditor.get(SWITCH).status_code == 200 and auditor.post(SWITCH, {"reason": "x"}).status_code == 403
    assert logged_in(UserFactory.create(roles=["reader"])).get(SWITCH).status_code == 403
    assert not AiStop.objects.exists()


def test_a_stop_is_a_notice_a_metric_and_part_of_the_record(admin: User, champion: Any) -> None:
    stop = stop_ai(site=None, reason="Wrong answers.", user=admin)
    notices.sweep()
    assert Notice.objects.open().get(kind="ai_stopped").detail == "Every site: Wrong answers."
    assert "cataract_ai_stops 1.0" in logged_in(admin).get("/metrics").content.decode()
    assert "The AI is switched off" in logged_in(admin).get("/notices/").content.decode()
    for change in (lambda: AiStop.objects.update(reason="x"), lambda: AiStop.objects.filter(pk=stop.pk).delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
