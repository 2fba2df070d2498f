"""No slip counts: answers too fast, quick looks, slips undone in time; drafts; and asking somebody else."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from predictions.answering.models import Disclosure
from review.cases.models import Concern, Draft, Reading, ReviewCase
from review.labels.models import Label
from review.queue.hidden_checks import _new_check
from tests.factories import AdjudicatorFactory, DisclosureFactory, EyeImageFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case
from tests.review.test_pages import blind, logged_in, start, stored_image

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def as_in_the_product(settings: Any) -> None:
    settings.REVIEW_TOO_FAST_SECONDS, settings.REVIEW_QUICK_SECONDS, settings.REVIEW_SLIP_SECONDS = 0.5, 1.5, 4
    settings.REVIEW_SECOND_READ_RATE = 0.0


def look_for(seconds: float) -> None:
    """As if every case had been shown that long ago."""
    Draft.objects.update(shown_at=timezone.now() - timedelta(seconds=seconds))


def opened(client: Client, *, after: float = 10) -> str:
    address = start(client)
    client.get(address)
    look_for(after)
    return address


@pytest.mark.parametrize("seconds", ["", "30"])
def test_an_answer_too_fast_to_have_looked_is_marked_gets_a_second_reader_and_never_trains(seconds: str) -> None:
    case = make_case("cataract")
    one, two = logged_in(ReaderFactory.create()), logged_in(ReaderFactory.create())
    address = opened(one, after=0)
    blind(one, address, "cataract", seconds=seconds, kept="1")
    reading = Reading.objects.get()
    assert reading.pace == "too_fast" and reading.server_seconds is not None and reading.server_seconds < 0.5
    case.refresh_from_db()
    assert case.status == "second", "nobody has looked at it yet"
    blind(two, opened(two), "cataract")
    label = Label.objects.get()
    assert (label.provenance, label.may_train) == ("blind", False)


def test_the_shorter_of_both_clocks_counts() -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    blind(client, opened(client, after=60), "cataract", seconds="0.2", kept="1")
    assert Reading.objects.get().pace == "too_fast"


def test_a_case_painted_from_memory_has_a_clock_too() -> None:
    make_case("cataract"), make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = opened(client)
    following = client.post(address + "ahead/").json()["cases"][0]["case"]
    sent = {"step": "blind", "answer": "cataract", "seconds": "5", "next": following}
    client.post(address, sent, headers=HTMX)
    blind(client, f"/review/cases/{following}/", "cataract", seconds="5", kept="1")
    assert sorted(each.pace or "" for each in Reading.objects.all()) == ["", "too_fast"]


def test_a_quick_answer_is_asked_about_once_a_session_and_marked() -> None:
    make_case("cataract"), make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = opened(client, after=1.2)
    page = blind(client, address, "cataract", grade="mature", note="Dense.", seconds="1.1").content.decode()
    assert "Quick look. Keep?" in page and "The AI" not in page and not Reading.objects.exists()
    assert 'name="note" value="Dense."' in page and 'value="1.10"' in page
    blind(client, address, "cataract", grade="mature", note="Dense.", seconds="1.1", kept="1")
    reading = Reading.objects.get()
    assert (reading.pace, reading.note, reading.grade) == ("quick", "Dense.", "mature")
    assert Label.objects.get().may_train
    blind(client, opened(client, after=1.2), "cataract", seconds="1.1")
    assert Reading.objects.filter(pace="quick").count() == 2, "not asked again"


def test_over_the_api_too() -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    case = client.post("/api/v1/review/next").json()
    answer = client.post(f"/api/v1/review/cases/{case['id']}/answer", {"step": "blind", "answer": "cataract"})
    assert answer.json()["reading"]["pace"] == "too_fast" and answer.json()["ai"] is None
    assert Reading.objects.get().server_seconds is not None


def test_a_slip_against_the_ai_undone_before_its_answer_is_shown_leaves_the_case_blind() -> None:
    make_case("cataract")
    reader = ReaderFactory.create()
    client = logged_in(reader)
    address = opened(client)
    page = client.post(address, {"step": "blind", "answer": "normal", "seconds": "5"}, headers=HTMX).content.decode()
    assert 'data-screen="held"' in page and "sees it differently" not in page and "Take the AI" not in page
    assert not Disclosure.objects.filter(user=reader).exists()
    assert client.get(address + "heat/").status_code == 403
    undone = client.post("/review/undo/", {"reading": Reading.objects.get().pk}, follow=True).content.decode()
    assert "Does this eye show a cataract?" in undone and "does not train" not in undone
    look_for(10)
    blind(client, address, "cataract", seconds="5")
    label = Label.objects.get()
    assert (label.answer, label.provenance, label.may_train) == ("cataract", "blind", True)


def test_a_slip_with_the_ai_undone_in_time_leaves_the_case_blind() -> None:
    case = make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = opened(client)
    answer = client.post(address, {"step": "blind", "answer": "cataract", "seconds": "5"}, follow=True)
    assert "The AI says the same" not in answer.content.decode()
    assert "The AI" not in client.get(address).content.decode(), "not while undoing is a slip"
    client.post("/review/undo/", {"reading": Reading.objects.get().pk})
    assert "does not train" not in client.get(address).content.decode()
    look_for(10)
    blind(client, address, "normal", seconds="5")
    client.get(address)
    client.post(address, {"step": "final", "answer": "normal"})
    again = Reading.objects.standing().get()
    assert not again.ai_shown_first and again.final_answer == "normal"
    case.refresh_from_db()
    assert case.status == "second"


@pytest.mark.parametrize("how", ["late", "shown", "twice"])
def test_an_undo_that_is_no_slip_costs_the_worth_of_the_label(how: str) -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = opened(client)
    said = "cataract" if how == "late" else "normal"
    client.post(address, {"step": "blind", "answer": said, "seconds": "5"}, headers=HTMX)
    reading = Reading.objects.get()
    if how == "shown":
        assert "sees it differently" in client.get(address, headers=HTMX).content.decode()
        reading.refresh_from_db()
        assert reading.ai_shown_at is not None
    if how == "late":
        with pytest.MonkeyPatch.context() as patch:
            late = timezone.now() + timedelta(seconds=5)
            patch.setattr("django.utils.timezone.now", lambda: late)
            client.post("/review/undo/", {"reading": reading.pk})
    else:
        client.post("/review/undo/", {"reading": reading.pk})
    if how == "twice":
        look_for(10)
        client.post(address, {"step": "blind", "answer": "normal", "seconds": "5"}, headers=HTMX)
        client.post("/review/undo/", {"reading": Reading.objects.standing().get().pk})
    assert "does not train" in client.get(address).content.decode()
    look_for(10)
    blind(client, address, "cataract", seconds="5")
    assert Label.objects.standing().get().may_train is False


def test_what_is_typed_is_kept_for_its_reader_alone_and_gone_with_the_answer() -> None:
    make_case("cataract")
    one, two = logged_in(ReaderFactory.create()), logged_in(ReaderFactory.create())
    address = opened(one)
    typed = {"note": "Dense nucleus.", "grade": "mature", "confidence": "fairly", "evil": "x"}
    assert one.post(address + "draft/", typed).status_code == 204
    assert "evil" not in Draft.objects.get().content
    page = one.get(address).content.decode()
    assert "Dense nucleus." in page and page.count("checked") == 2
    assert two.post(address + "draft/", typed).status_code == 409
    ReviewCase.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert start(two) == address
    assert "Dense nucleus." not in two.get(address).content.decode()
    blind(two, address, "cataract", seconds="5", kept="1")
    assert Draft.objects.get(content={}) and Draft.objects.count() == 2, "the other reader's answer may still come"


def test_unsure_is_one_of_three_steps_and_asks_a_second_reader() -> None:
    case = make_case("cataract")
    client = logged_in(ReaderFactory.create())
    blind(client, opened(client), "cataract", confidence="unsure")
    reading = Reading.objects.get()
    assert (reading.confidence, reading.unsure) == ("unsure", True)
    case.refresh_from_db()
    assert case.status == "second"


def test_the_progress_does_not_jump_and_never_says_zero_minutes() -> None:
    for _ in range(3):
        make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = opened(client)
    assert "0 of 3 read" in client.get(address).content.decode()
    make_case("cataract")
    assert "0 of 3 read" in client.get(address).content.decode()
    for number in range(3):
        blind(client, address, "cataract", seconds="5", kept="1")
        words = client.get("/review/").content.decode()
        assert "about 0 minutes" not in words
        if number < 2:
            assert f"{number + 1} of 3 read" in words
            address = start(client)
            client.get(address)
            look_for(10)
    assert "3 of 4 read" in words, "a new total when the first is reached"


# Asking somebody else ------------------------------------------------------------------------------------------------
def test_a_colleague_is_asked_and_reads_blind() -> None:
    case = make_case("cataract")
    reader, colleague = ReaderFactory.create(), ReaderFactory.create()
    client = logged_in(reader)
    address = opened(client)
    assert client.post(address + "ask/", {"kind": "colleague"}).status_code == 422
    sent = {"kind": "colleague", "colleague": colleague.pk, "reason": "Is this an old wound?"}
    client.post(address + "ask/", sent)
    case.refresh_from_db()
    assert (case.assigned_to, case.claimed_by) == (colleague, None)
    assert client.post("/review/next/").headers["Location"] == "/review/", "it is the colleague's now"
    other = logged_in(colleague)
    page = other.get(start(other)).content.decode()
    assert "Does this eye show a cataract?" in page and "old wound" not in page
    concern = Concern.objects.get()
    assert (concern.kind, concern.by, concern.asked) == ("colleague", reader, colleague)


def test_a_colleague_who_knows_the_answer_is_not_asked() -> None:
    case = make_case("cataract")
    reader, colleague = ReaderFactory.create(), ReaderFactory.create()
    DisclosureFactory.create(prediction=case.prediction, user=colleague)
    client = logged_in(reader)
    address = opened(client)
    answer = client.post(address + "ask/", {"kind": "colleague", "colleague": colleague.pk, "reason": "Please."})
    assert answer.status_code == 409 and "cannot read this case" in answer.content.decode()
    assert not Concern.objects.exists()


def test_an_escalated_case_is_for_adjudicators_only_until_one_has_read_it() -> None:
    case = make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = opened(client)
    client.post(address + "ask/", {"kind": "senior", "reason": "Beyond me."})
    for other in (client, logged_in(ReaderFactory.create())):
        assert other.post("/review/next/").headers["Location"] == "/review/"
    senior = logged_in(AdjudicatorFactory.create())
    assert start(senior) == address
    page = senior.get(address).content.decode()
    assert "Does this eye show a cataract?" in page and "Beyond me" not in page
    look_for(10)
    blind(senior, address, "cataract")
    case.refresh_from_db()
    assert case.status == "resolved" and case.escalated_at is None and Label.objects.get().may_train


def test_a_flag_leaves_the_case_with_its_reader_and_waits_for_an_admin() -> None:
    make_case("cataract", image=stored_image())
    client = logged_in(ReaderFactory.create())
    address = opened(client)
    client.post(address + "ask/", {"kind": "flag", "reason": "A name is written on the photo."})
    assert "Does this eye show a cataract?" in client.get(address).content.decode()
    admin = logged_in(UserFactory.create(roles=["admin"]))
    assert "A name is written" in admin.get("/review/concerns/").content.decode()
    reads_too = logged_in(UserFactory.create(roles=["admin", "reader"]))
    assert "A name is written" not in reads_too.get("/review/concerns/").content.decode()
    admin.post(f"/review/concerns/{Concern.objects.get().pk}/settle/")
    assert "Nothing is open" in admin.get("/review/concerns/").content.decode()
    assert client.get("/review/concerns/").status_code == 403


def test_a_hidden_check_that_is_escalated_looks_like_any_other_and_is_withdrawn() -> None:
    reader = ReaderFactory.create()
    check = _new_check(reader, ReviewCase.Kind.CONTROL, EyeImageFactory.create(), known_answer="normal")
    check.save(force_insert=True)
    client = logged_in(reader)
    address = f"/review/cases/{check.pk}/"
    assert "Ask, escalate or flag" in client.get(address).content.decode()
    client.post(address + "ask/", {"kind": "senior", "reason": "Beyond me."})
    check.refresh_from_db()
    assert check.status == "withdrawn" and check.claimed_by is None


# The view ------------------------------------------------------------------------------------------------------------
def test_the_pupil_is_found_in_the_photo_alone() -> None:
    case = make_case("cataract", image=stored_image())
    client = logged_in(ReaderFactory.create())
    assert client.get(f"/review/cases/{case.pk}/pupil/").status_code == 403
    address = opened(client)
    found = client.get(address + "pupil/").json()
    assert set(found) == {"x", "y", "radius"} and found["x"] == 0.5, "a grey photo has none: its middle"


def test_a_reader_keeps_filters_on_the_server() -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    sent = '{"redfree": true, "contrast": 1.2, "pupil": true, "evil": "x", "invert": "yes"}'
    assert client.post("/review/view/", {"view": sent}).status_code == 204
    page = client.get(opened(client)).content.decode()
    assert "&quot;redfree&quot;: true" in page and "evil" not in page and "invert&quot;" not in page
    assert client.post("/review/view/", {"view": "["}).status_code == 422
    client.post("/review/view/", {"view": ""})
    assert "redfree&quot;" not in client.get("/review/").content.decode()
