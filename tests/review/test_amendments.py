"""Adjudicators amend and reopen resolved cases, over HTTP: label, the sender's result, record, and blindness."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client

from predictions.answering.models import Disclosure, Prediction
from review.cases.models import Amendment, Reading, ReviewCase
from review.labels.models import Label
from review.queue import policy
from review.reading import services
from tests.factories import AdjudicatorFactory, PredictionFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case
from tests.review.test_api import with_key
from tests.review.test_pages import logged_in, stored_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def sender() -> User:
    return UserFactory.create(roles=["screener"])


@pytest.fixture
def resolved(sender: User) -> ReviewCase:
    """The AI and one blind reader said "no cataract"; the sender was told so."""
    case = make_case("normal", image=stored_image(uploaded_by=sender))
    services.store_blind_answer(case=case, reader=ReaderFactory.create(), answer="normal")
    case.refresh_from_db()
    assert case.status == "resolved"
    return case


def told(sender: User) -> Any:
    row = Prediction.objects.get()
    return logged_in(sender).get(f"/api/v1/predictions/{row.pk}").json()


def amend(client: Client, case: ReviewCase, answer: str = "cataract", **more: Any) -> Any:
    values = {"act": "amend", "answer": answer, "reason": "The eye clinic wrote.", **more}
    return client.post(f"/review/cases/{case.pk}/amend/", values)


def test_an_adjudicator_finds_a_resolved_case_and_amends_it(resolved: ReviewCase, sender: User) -> None:
    judge = AdjudicatorFactory.create()
    client = logged_in(judge)
    address = f"/review/cases/{resolved.pk}/"
    assert address in client.get("/review/worklist/?state=resolved").content.decode()
    assert f"{address}amend/" in client.get(address).content.decode()
    page = client.get(f"{address}amend/").content.decode()
    assert "may train the AI" in page and "<dt>The AI</dt>" not in page and "One reader" not in page
    assert amend(client, resolved, reason="").status_code == 422, "a reason is needed"
    answer = amend(client, resolved, grade="mature")
    assert answer.status_code == 302 and "Amended: cataract." in client.get(answer["Location"]).content.decode()

    label = Label.objects.standing().get()
    assert (label.answer, label.provenance, label.may_train) == ("cataract", "adjudicated", True)
    assert label.supersedes is not None and label.supersedes.answer == "normal" and label.readings.count() == 2
    result = told(sender)["final_result"]
    assert (result["status"], result["answer"], result["basis"]) == ("amended", "cataract", "adjudicated")
    assert result["reason"] == "The eye clinic wrote." and result["contradicts_ai"]
    record = Amendment.objects.get()
    assert (record.by, record.answer_before, record.answer) == (judge, "normal", "cataract")
    assert (Reading.objects.get(reader=judge).grade, Reading.objects.standing().count()) == ("mature", 2)


def test_who_was_shown_the_answers_amends_without_training(resolved: ReviewCase) -> None:
    judge = AdjudicatorFactory.create()
    client = logged_in(judge)
    shown = client.get(f"/review/cases/{resolved.pk}/amend/?answers=shown").content.decode()
    assert "<dt>The AI</dt><dd>No cataract</dd>" in shown and "never trains the AI" in shown
    assert Disclosure.objects.filter(user=judge, image=resolved.image).exists()
    assert policy.has_seen(resolved, judge)
    amend(client, resolved)
    assert not Label.objects.standing().get().may_train


def test_nobody_amends_an_own_reading_and_readers_amend_nothing(resolved: ReviewCase) -> None:
    own = AdjudicatorFactory.create()
    case = make_case("cataract", image=stored_image())
    services.store_blind_answer(case=case, reader=own, answer="cataract")
    client = logged_in(own)
    assert "You have read it yourself." in client.get(f"/review/cases/{case.pk}/amend/").content.decode()
    assert amend(client, case, "normal").status_code == 403
    assert logged_in(ReaderFactory.create()).get(f"/review/cases/{resolved.pk}/amend/").status_code == 403
    assert amend(logged_in(ReaderFactory.create()), resolved).status_code == 403
    assert not Amendment.objects.exists()


def test_an_open_case_is_not_amended() -> None:
    client, case = logged_in(AdjudicatorFactory.create()), make_case("cataract", image=stored_image())
    assert "This case is open." in client.get(f"/review/cases/{case.pk}/amend/").content.decode()
    assert amend(client, case).status_code == 409
    case.refresh_from_db()
    assert case.status == "first" and not Amendment.objects.exists()


def test_the_second_of_two_amenders_is_told_that_the_case_changed(resolved: ReviewCase) -> None:
    from review.reading import amendments, transitions

    stale = ReviewCase.objects.get(pk=resolved.pk)
    first, second = AdjudicatorFactory.create_batch(2)
    amendments.amend_case(case=resolved, adjudicator=first, answer="cataract", reason="A letter.")
    with pytest.raises(transitions.Conflict, match="changed since"):
        amendments.amend_case(case=stale, adjudicator=second, answer="ungradable", reason="Blurred.")
    assert Label.objects.standing().get().answer == "cataract"
    amendments.amend_case(
        case=ReviewCase.objects.get(pk=resolved.pk), adjudicator=second, answer="ungradable", reason="Blurred."
    )
    taken_back = Reading.objects.get(reader=first)
    assert taken_back.taken_back_by == Amendment.objects.first() and taken_back.retracted_at is not None


@pytest.mark.parametrize(("to", "roles"), [("first", []), ("second", ["first"])])
def test_a_reopened_case_is_read_by_fresh_people(resolved: ReviewCase, sender: User, to: str, roles: list[str]) -> None:
    earlier = Reading.objects.get().reader
    client = logged_in(AdjudicatorFactory.create())
    assert told(sender)["state"] == "final"
    answer = client.post(
        f"/review/cases/{resolved.pk}/amend/", {"act": "reopen", "to": to, "reason": "Taken through a lid."}
    )
    assert answer.status_code == 302
    resolved.refresh_from_db()
    assert resolved.status == to and resolved.resolved_at is None
    assert [reading.role for reading in Reading.objects.standing()] == roles
    assert not Label.objects.standing().exists()
    assert (told(sender)["state"], told(sender)["final_result"]) == ("waiting", None)
    assert not policy.readable(earlier).exists(), "who read it before does not read it again"
    assert logged_in(earlier).post("/review/next/")["Location"] == "/review/"

    fresh = ReaderFactory.create_batch(2)
    services.store_blind_answer(case=resolved, reader=fresh[0], answer="cataract")
    for reading in Reading.objects.standing().filter(final_answer=""):
        services.store_final_answer(reading=reading, answer="cataract")
    if to == "first":
        services.store_blind_answer(case=resolved, reader=fresh[1], answer="cataract")
        services.store_final_answer(reading=Reading.objects.get(reader=fresh[1]), answer="cataract")
    else:
        services.adjudicate(case=resolved, adjudicator=AdjudicatorFactory.create(), answer="cataract", reason="Seen.")
    result = told(sender)["final_result"]
    assert (result["status"], result["answer"], result["reason"]) == ("amended", "cataract", "Taken through a lid.")


def test_an_amendment_is_undone_by_its_author(resolved: ReviewCase, sender: User) -> None:
    """The case was read once: it then waits for a second reader, which its author is first."""
    client = logged_in(AdjudicatorFactory.create())
    amend(client, resolved)
    reading = Reading.objects.get(role="adjudicator")
    assert client.post("/review/undo/", {"reading": reading.pk}).status_code == 302
    resolved.refresh_from_db()
    assert resolved.status == "second" and told(sender)["state"] == "waiting"


def test_over_the_api_with_an_idempotency_key(resolved: ReviewCase, sender: User) -> None:
    client = with_key(AdjudicatorFactory.create(), "review")
    address = f"/api/v1/review/cases/{resolved.pk}"
    body = {"answer": "cataract", "reason": "The eye clinic wrote."}
    assert client.post(f"{address}/amend", {"answer": "cataract"}, format="json").status_code == 422
    for replayed in (False, True):
        answer = client.post(f"{address}/amend", body, format="json", headers={"Idempotency-Key": "once"})
        assert answer.status_code == 200 and answer.headers.get("Idempotency-Replayed") == (
            "true" if replayed else None
        )
    assert answer.json()["reading"]["final_answer"] == "cataract" and answer.json()["ai"] is None
    again = client.post(f"{address}/amend", body, format="json")
    assert again.status_code == 403 and "Another adjudicator can amend it" in again.json()["detail"]
    assert Amendment.objects.count() == 1
    assert client.post(f"{address}/reopen", {"reason": "Look again.", "to": "second"}, format="json").status_code == 200
    assert told(sender)["final_result"] is None
    assert with_key(ReaderFactory.create(), "review").post(f"{address}/amend", body, format="json").status_code == 403


def test_the_record_is_never_changed(resolved: ReviewCase) -> None:
    amend(logged_in(AdjudicatorFactory.create()), resolved)
    for change in ({"reason": "Another."}, {"answer": "normal"}):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Amendment.objects.update(**change)
    admin = logged_in(UserFactory.create(roles=["admin"]))
    assert "The eye clinic wrote." in admin.get(f"/admin/review/reviewcase/{resolved.pk}/change/").content.decode()


def test_a_hidden_check_is_not_amended() -> None:
    image = PredictionFactory.create().image
    check = ReviewCase.objects.create(
        kind="control", image=image, only_for=ReaderFactory.create(), known_answer="normal", review_propensity=1,
        policy_version="checks-1",
    )  # fmt: skip
    client = logged_in(AdjudicatorFactory.create())
    assert client.get(f"/review/cases/{check.pk}/amend/").status_code == 404
    body = {"answer": "cataract", "reason": "x"}
    address = f"/api/v1/review/cases/{check.pk}/amend"
    assert client.post(address, body, content_type="application/json").status_code == 409
