"""Retracting a reader: the labels stop training, the cases are read again, and the record says who and why."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from predictions.answering.models import FinalResult
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.queue import policy
from review.reading import services as reading
from review.retraction.models import Retraction
from review.retraction.services import retract_reader
from tests.factories import AdjudicatorFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case
from training.datasets.selectors import usable_labels

pytestmark = pytest.mark.django_db
ADD = "/admin/review/retraction/add/"


@pytest.fixture(autouse=True)
def no_draws(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0


def read(case: ReviewCase, reader: User, answer: str) -> Reading:
    case.refresh_from_db()
    made = reading.store_blind_answer(case=case, reader=reader, answer=answer)
    if not made.final_answer:
        made = reading.store_final_answer(reading=made, answer=answer)
    case.refresh_from_db()
    return made


def test_an_admin_retracts_a_reader_with_a_reason() -> None:
    case, reader, admin = make_case("cataract"), ReaderFactory.create(), UserFactory.create(roles=["admin"])
    read(case, reader, "cataract")
    assert usable_labels().exists() and FinalResult.objects.standing().by_people().exists()
    client = Client()
    client.force_login(admin)
    chosen = {"action": "retract_labels", "_selected_action": [reader.pk]}
    page = client.post("/admin/auth/user/", chosen)
    assert page.status_code == 302 and page["Location"] == f"{ADD}?reader={reader.pk}"
    assert client.post(ADD, {"reader": reader.pk, "reason": ""}).status_code == 422
    assert client.post(ADD, {"reader": reader.pk, "reason": "was not a clinician"}).status_code == 302
    made = Retraction.objects.get()
    assert (made.reader, made.by, made.reason) == (reader, admin, "was not a clinician")
    assert made.readings.count() == made.labels.count() == 1
    assert not usable_labels().exists() and not Label.objects.standing().exists()
    assert not FinalResult.objects.standing().by_people().exists(), "the sender waits again"
    case.refresh_from_db()
    assert case.status == "first" and policy.readable(ReaderFactory.create()).filter(pk=case.pk).exists()
    assert "1 readings, 1 labels" in client.get("/admin/review/retraction/").content.decode()
    assert "the labels of" in client.get(f"/training/lineage/?reader={reader.pk}").content.decode()
    assert client.post(ADD, {"reader": reader.pk, "reason": "again"}).status_code == 422, "nothing is left"


def test_only_admins_retract() -> None:
    client = Client()
    client.force_login(UserFactory.create(roles=["auditor"]))
    client.post(ADD, {"reader": ReaderFactory.create().pk, "reason": "why"})
    assert not Retraction.objects.exists()


@pytest.mark.parametrize(("gone", "due"), [(0, "second"), (1, "second"), (2, "adjudication")])
def test_the_readings_of_others_stay_and_the_case_waits_for_what_is_missing(gone: int, due: str) -> None:
    case = make_case("normal")
    people = [ReaderFactory.create(), ReaderFactory.create(), AdjudicatorFactory.create()]
    read(case, people[0], "cataract")
    assert case.status == "second"
    read(case, people[1], "normal")
    assert case.status == "adjudication"
    case.refresh_from_db()
    reading.adjudicate(case=case, adjudicator=people[2], answer="cataract", reason="dense")
    assert usable_labels().count() == 1
    retract_reader(reader=people[gone], reason="why", user=people[2])
    case.refresh_from_db()
    assert case.status == due and not Label.objects.standing().exists()
    standing = {made.reader: made.role for made in Reading.objects.standing()}
    if gone == 2:
        assert standing == {people[0]: "first", people[1]: "second"}
        return
    assert standing == {people[1 - gone]: "first"}, "the adjudication rested on both"
    read(case, ReaderFactory.create(), "cataract" if gone == 1 else "normal")
    assert case.status == "resolved" and usable_labels().count() == 1
