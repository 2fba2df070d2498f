"""Training of readers over HTTP: practice with feedback, the qualifying set, pauses by the rule."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cataract.core.audit.models import Act, AuditEntry
from predictions.answering.models import Disclosure
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.pauses.models import ReadingPause
from review.practice.models import PracticeCase, PracticeItem, PracticeSession
from review.queue import hidden_checks, policy
from review.reading import services
from tests.factories import EyeImageFactory, LabelFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0


@pytest.fixture
def reader() -> User:
    return ReaderFactory.create(username="new-reader")


@pytest.fixture
def browser(client: Client, reader: User) -> Client:
    client.force_login(reader)
    return client


@pytest.fixture
def admin() -> Client:
    browser = Client()
    browser.force_login(UserFactory.create(username="the-admin", roles=["admin"]))
    return browser


def resolved(answer: str = "cataract", **image: Any) -> ReviewCase:
    """A case that another reader has answered: it has a final result by people."""
    case = make_case(answer, image=EyeImageFactory.create(**image))
    services.claim_case(case=case, reader=(other := ReaderFactory.create()))
    services.store_blind_answer(case=case, reader=other, answer=answer)
    case.refresh_from_db()
    assert case.status == ReviewCase.Status.RESOLVED
    return case


def choose(admin: Client, case: ReviewCase) -> None:
    admin.post("/review/practice/cases/", {"case": str(case.pk), "act": "choose"})


def start(browser: Client, kind: str = "practice") -> PracticeSession:
    answer = browser.post("/review/practice/start/", {"kind": kind})
    assert answer.status_code == 302, answer.content
    return PracticeSession.objects.get(pk=answer["Location"].split("/")[3])


def take(browser: Client, session: PracticeSession, *, wrong: int = 0) -> PracticeSession:
    """Answer every question, the first `wrong` ones wrongly."""
    for item in session.items.all():
        answer = "not_an_eye" if item.number <= wrong else item.expected
        browser.post(f"/review/practice/{session.pk}/", {"number": item.number, "answer": answer})
    session.refresh_from_db()
    return session


def test_practice_on_drawn_eyes_says_so_and_gives_feedback(browser: Client) -> None:
    assert "the eyes are drawn" in browser.get("/review/practice/").content.decode()
    session = start(browser)
    page = browser.get(f"/review/practice/{session.pk}/").content.decode()
    assert "A drawn eye, not a photo" in page and "What was drawn" not in page
    photo = browser.get(f"/review/practice/{session.pk}/1/photo/")
    assert photo["Content-Type"] == "image/jpeg" and photo.content[:2] == b"\xff\xd8"
    first = session.items.get(number=1)
    answer = browser.post(f"/review/practice/{session.pk}/", {"number": 1, "answer": "not_an_eye"})
    feedback = browser.get(answer["Location"]).content.decode()
    assert "Not right." in feedback and first.get_expected_display() in feedback
    browser.post(f"/review/practice/{session.pk}/", {"number": 1, "answer": first.expected})
    first.refresh_from_db()
    assert first.answer == "not_an_eye", "the first answer counts"
    assert take(browser, session).right == 9
    assert (
        "Right: 9 of 10 (90 %, 95 % interval 60 to 98 %)"
        in browser.get(f"/review/practice/{session.pk}/").content.decode()
    )
    assert not Label.objects.exists() and not Reading.objects.exists()


def test_practice_on_a_chosen_case_ends_blindness_and_is_recorded(browser: Client, reader: User, admin: Client) -> None:
    case = resolved()
    choose(admin, case)
    assert Disclosure.objects.filter(user__username="the-admin").exists() is False, "a POST alone shows nothing"
    admin.get("/review/practice/cases/")
    assert Disclosure.objects.filter(user__username="the-admin", image=case.image).exists()
    session = start(browser)
    item = session.items.get(case=case)
    assert not Disclosure.objects.filter(user=reader).exists()
    browser.post(f"/review/practice/{session.pk}/", {"number": item.number, "answer": "cataract"})
    assert Disclosure.objects.filter(user=reader, prediction=case.prediction).exists()
    assert policy.has_seen(case, reader)
    assert Label.objects.count() == 1


def test_a_case_that_waits_for_readers_or_judges_releases_is_never_practised_on(admin: Client) -> None:
    waiting, test_photo = make_case(), resolved(split="test")
    same_patient = resolved(patient_key="P-1")
    make_case(image=EyeImageFactory.create(cluster=same_patient.image.cluster, eye="OS"))
    for case in (waiting, test_photo, same_patient):
        choose(admin, case)
    assert not PracticeCase.objects.exists()
    page = admin.get("/review/practice/cases/").content.decode()
    assert not any(str(case.pk) in page for case in (waiting, test_photo, same_patient))
    assert not Disclosure.objects.filter(user__username="the-admin").exists()


def test_a_case_that_is_reopened_meanwhile_is_not_asked(browser: Client, reader: User, admin: Client) -> None:
    case = resolved()
    choose(admin, case)
    session = start(browser)
    item = session.items.get(case=case)
    ReviewCase.objects.filter(pk=case.pk).update(status="second", resolved_at=None)
    browser.post(f"/review/practice/{session.pk}/", {"number": item.number, "answer": "cataract"})
    item.refresh_from_db()
    assert item.answer == "" and not Disclosure.objects.filter(user=reader).exists()
    assert take(browser, session).asked == 9


def test_nobody_sees_the_session_of_another(browser: Client, client: Client) -> None:
    session = start(browser)
    stranger = Client()
    stranger.force_login(ReaderFactory.create())
    assert stranger.get(f"/review/practice/{session.pk}/").status_code == 404
    assert stranger.get(f"/review/practice/{session.pk}/1/photo/").status_code == 404


def test_the_qualifying_set_comes_before_the_first_case(browser: Client, reader: User, settings: Any) -> None:
    settings.REVIEW_QUALIFYING_CASES, settings.REVIEW_PASS_MARK = 10, 0.8
    make_case()
    assert services.claim_next(reader=reader) is None
    page = browser.get("/review/").content.decode()
    assert "Pass the qualifying set" in page and 'href="/review/practice/"' in page
    session = start(browser, "qualifying")
    assert start(browser, "qualifying") == session, "it goes on where it was"
    reply = browser.post(f"/review/practice/{session.pk}/", {"number": 1, "answer": "normal"})
    assert "after" not in reply["Location"]
    assert "What was drawn" not in browser.get(f"/review/practice/{session.pk}/?after=1").content.decode()
    assert take(browser, session, wrong=9).passed is False
    assert services.claim_next(reader=reader) is None
    again = start(browser, "qualifying")
    assert again != session and take(browser, again, wrong=2).passed is True
    assert services.claim_next(reader=reader) is not None
    assert PracticeSession.objects.filter(reader=reader).count() == 2


def test_whoever_read_before_it_was_asked_for_goes_on(reader: User, settings: Any) -> None:
    case = make_case()
    services.claim_case(case=case, reader=reader)
    services.store_blind_answer(case=case, reader=reader, answer="cataract")
    settings.REVIEW_QUALIFYING_CASES = 10
    make_case()
    assert services.claim_next(reader=reader) is not None


def test_the_api_says_why_an_unqualified_reader_gets_no_case(reader: User, settings: Any) -> None:
    settings.REVIEW_QUALIFYING_CASES = 10
    make_case()
    browser = Client()
    browser.force_login(reader)
    answer = browser.post("/api/v1/review/next")
    assert answer.status_code == 403 and answer.json()["code"] == "not_qualified"


def test_admins_write_the_instructions(browser: Client, admin: Client) -> None:
    assert "Look at the pupil first." in browser.get("/review/practice/").content.decode()
    admin.post("/review/practice/instructions/", {"text": "Our way.\n\nSlowly."})
    page = browser.get("/review/practice/").content.decode()
    assert "<p>Our way.</p>" in page and "Look at the pupil first." not in page


# Pauses ---------------------------------------------------------------------------------------------------------------
def control(reader: User, answer: str) -> None:
    """A control case, known as cataract, with this answer."""
    label = LabelFactory.create(answer="cataract")
    case = hidden_checks._new_check(reader, ReviewCase.Kind.CONTROL, label.image, known_answer="cataract")
    case.save(force_insert=True)
    services.store_blind_answer(case=case, reader=reader, answer=answer)


def test_a_reader_is_paused_by_the_rule_and_an_admin_lifts_it(browser: Client, reader: User, admin: Client) -> None:
    for _ in range(2):
        control(reader, "normal")
    for _ in range(7):
        control(reader, "cataract")
    assert not ReadingPause.objects.exists()
    ahead = make_case()
    services.claim_case(case=ahead, reader=reader)
    control(reader, "normal")
    pause = ReadingPause.objects.get(reader=reader)
    assert (pause.failed, pause.of) == (3, 10)
    ahead.refresh_from_db()
    assert ahead.claimed_by is None and services.claim_next(reader=reader) is None
    page = browser.get("/review/").content.decode()
    assert "Your reading is paused" in page and "3 of your last 10 control cases" in page
    readers = admin.get("/review/readers/").content.decode()
    assert "1 reader paused" in readers and "7 of 10" in readers
    admin.post(f"/review/readers/{pause.pk}/lift/", {"reason": ""})
    assert services.claim_next(reader=reader) is None, "a pause is lifted for a reason"
    admin.post(f"/review/readers/{pause.pk}/lift/", {"reason": "We looked at the photos together."})
    assert services.claim_next(reader=reader) == ahead
    pause.refresh_from_db()
    assert pause.lifted_by is not None and pause.reason == "We looked at the photos together."
    acts = AuditEntry.objects.filter(act=Act.RIGHTS_CHANGED, kind="review.readingpause", object=str(pause.pk))
    assert acts.count() == 2
    control(reader, "normal")
    assert ReadingPause.objects.count() == 1, "control cases from before do not count any more"


def test_old_control_cases_fall_out_of_the_window(reader: User) -> None:
    for answer in ["normal", "normal", *["cataract"] * 9, "normal"]:
        control(reader, answer)
    assert not ReadingPause.objects.exists()


def test_without_the_rule_nobody_is_paused(reader: User, settings: Any) -> None:
    settings.REVIEW_PAUSE_FAILED = 0
    for _ in range(4):
        control(reader, "normal")
    assert not ReadingPause.objects.exists()


def test_a_paused_adjudicator_still_adjudicates() -> None:
    adjudicator = UserFactory.create(roles=["adjudicator"])
    ReadingPause.objects.create(reader=adjudicator, failed=3, of=10)
    case = make_case("normal")
    for answer in ("cataract", "normal"):
        services.claim_case(case=case, reader=(other := ReaderFactory.create()))
        reading = services.store_blind_answer(case=case, reader=other, answer=answer)
        if not reading.final_answer:
            services.store_final_answer(reading=reading, answer=answer)
        case.refresh_from_db()
    assert case.status == ReviewCase.Status.ADJUDICATION
    assert services.claim_next(reader=adjudicator) == case
    assert timezone.now() and not PracticeItem.objects.exists()
