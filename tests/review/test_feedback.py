"""What a reader learns of their own work: the results of resolved cases, and a weekly note that nobody else sees."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from predictions.answering.models import Disclosure
from review.cases.models import Reading, ReviewCase
from review.feedback import worker
from review.feedback.models import QualityNote
from review.reading import services
from tests.factories import EyeImageFactory, ReaderFactory
from tests.record import lifted
from tests.review.makers import make_case
from tests.review.test_practice import control

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0


@pytest.fixture
def reader() -> User:
    return ReaderFactory.create(username="reader-of-the-test")


@pytest.fixture
def browser(client: Client, reader: User) -> Client:
    client.force_login(reader)
    return client


def read(reader: User, case: ReviewCase, answer: str) -> Reading:
    services.claim_case(case=case, reader=reader)
    reading = services.store_blind_answer(case=case, reader=reader, answer=answer)
    if not reading.final_answer:
        services.store_final_answer(reading=reading, answer=answer)
    case.refresh_from_db()
    return reading


def read_twice(reader: User, first: str, second: str, ai: str = "cataract") -> ReviewCase:
    """A case that this reader reads first and somebody else after; unsure, so that there is a second reader."""
    case = make_case(ai)
    services.claim_case(case=case, reader=reader)
    reading = services.store_blind_answer(case=case, reader=reader, answer=first, unsure=True)
    if not reading.final_answer:
        services.store_final_answer(reading=reading, answer=first)
    case.refresh_from_db()
    read(ReaderFactory.create(username=f"colleague-{case.pk}"), case, second)
    return case


def test_a_reader_sees_the_result_of_a_resolved_case_without_names(browser: Client, reader: User) -> None:
    case = read_twice(reader, "cataract", "cataract")
    page = browser.get("/review/yours/").content.decode()
    assert f"/review/cases/{case.pk}/" in page and "colleague" not in page
    assert "Nothing here yet" in browser.get("/review/yours/?show=different").content.decode()


def test_open_cases_and_hidden_checks_are_not_listed(browser: Client, reader: User) -> None:
    waits = make_case("normal")
    read(reader, waits, "cataract")  # contradicts the AI: a second reader is due
    assert waits.status == ReviewCase.Status.SECOND
    control(reader, "cataract")
    assert "Nothing here yet" in browser.get("/review/yours/").content.decode()


def test_a_result_stays_hidden_while_another_photo_of_the_patient_waits(browser: Client, reader: User) -> None:
    case = make_case("cataract")
    read(reader, case, "cataract")
    other = make_case("normal", image=EyeImageFactory.create(cluster=case.image.cluster, eye="OD"))
    shown = Disclosure.objects.filter(user=reader).count()
    assert str(case.pk) not in browser.get("/review/yours/").content.decode()
    assert Disclosure.objects.filter(user=reader).count() == shown
    read(ReaderFactory.create(), other, "normal")
    assert str(case.pk) in browser.get("/review/yours/").content.decode()


def test_the_list_shows_an_extra_reader_the_result_and_records_it(browser: Client, reader: User) -> None:
    case = make_case("cataract")
    services.claim_case(case=case, reader=reader)
    ReviewCase.objects.filter(pk=case.pk).update(claimed_by=None, lease_until=None)
    read(ReaderFactory.create(), case, "cataract")
    extra = services.store_blind_answer(case=case, reader=reader, answer="cataract")
    assert extra.role == Reading.Role.EXTRA and not Disclosure.objects.filter(user=reader).exists()
    assert str(case.pk) in browser.get("/review/yours/").content.decode()
    assert Disclosure.objects.filter(user=reader, prediction=case.prediction).exists()


def last_week(reader: User) -> None:
    """Everything this reader has read was read in the middle of last week."""
    monday = timezone.localdate() - timedelta(days=timezone.localdate().weekday() + 7)
    middle = timezone.make_aware(datetime.combine(monday + timedelta(days=2), datetime.min.time()))
    with lifted():
        Reading.objects.filter(reader=reader, ai_shown_at__isnull=False).update(ai_shown_at=middle, blind_at=middle)
        Reading.objects.filter(reader=reader).update(blind_at=middle)


def test_a_weekly_note_counts_what_somebody_else_read_too(browser: Client, reader: User, settings: Any) -> None:
    settings.REVIEW_NOTE_CASES = 4
    for _ in range(3):
        read_twice(reader, "cataract", "cataract")
    read(reader, make_case("cataract"), "cataract")  # nobody else read it: agreeing with oneself says nothing
    control(reader, "cataract")
    control(reader, "normal")
    last_week(reader)
    assert worker.write_notes() == 1 and worker.write_notes() == 0
    note = QualityNote.objects.get()
    assert (note.readings, note.compared, note.agreed, note.controls, note.controls_right) == (4, 3, 3, 2, 1)
    assert "new" in browser.get("/review/yours/").content.decode()
    page = browser.get(f"/review/yours/notes/{note.pk}/").content.decode()
    assert "3 of 3 (100 %, 95 % interval 44 to 100 %)" in page and "1 of 2" in page
    note.refresh_from_db()
    assert note.seen_at is not None
    stranger = Client()
    stranger.force_login(ReaderFactory.create())
    assert stranger.get(f"/review/yours/notes/{note.pk}/").status_code == 404


def test_a_reader_with_few_cases_gets_no_note(reader: User, settings: Any) -> None:
    settings.REVIEW_NOTE_CASES = 2
    read_twice(reader, "cataract", "cataract")
    last_week(reader)
    assert worker.write_notes() == 0
