"""The reading pages over HTTP: a blind answer, then both answers, then a label."""

import re
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from PIL import Image

from predictions.photos import storage
from review.cases.models import Reading, ReviewCase, ShownFirst
from review.labels.models import Label
from review.queue import policy
from tests.factories import AdjudicatorFactory, DisclosureFactory, EyeImageFactory, ReaderFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db
AI_SAYS_CATARACT = "<dt>The AI</dt><dd>Cataract</dd>"


@pytest.fixture(autouse=True)
def no_second_reader_by_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = 0.0


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def start(client: Client) -> str:
    """Press Start; return the address of the case."""
    answer = client.post("/review/next/")
    assert answer.status_code == 302
    return answer.headers["Location"]


def blind(client: Client, address: str, answer: str, **more: Any) -> Any:
    return client.post(address, {"step": "blind", "answer": answer, **more})


def stored_image(**values: Any) -> Any:
    file = BytesIO()
    Image.new("RGB", (64, 48), "grey").save(file, "JPEG")
    name, _ = storage.store(file.getvalue(), suffix=".jpg")
    return EyeImageFactory.create(stored_name=name, **values)


def test_where_the_ai_agrees_one_answer_is_enough_and_makes_a_label_that_trains() -> None:
    case, reader = make_case("cataract", review_propensity=0.05, reasons=["audit_sample"]), ReaderFactory.create()
    client = logged_in(reader)
    assert "1 case waiting" in " ".join(client.get("/review/").content.decode().split())
    address = start(client)
    assert "Does this eye show a cataract?" in client.get(address).content.decode()
    answer = blind(client, address, "cataract", grade="mature", seconds="3.5", viewer='{"zoom": 2, "evil": "x"}')
    assert answer.headers["Location"] == "/review/"
    assert "Saved: cataract. The AI says the same." in client.get("/review/").content.decode()

    reading, label = Reading.objects.get(), Label.objects.get()
    assert (reading.blind_answer, reading.final_answer, reading.ai_shown_at) == ("cataract", "cataract", None)
    assert (reading.grade, reading.blind_seconds, reading.viewer) == ("mature", 3.5, {"zoom": 2})
    assert (label.answer, label.provenance, label.may_train) == ("cataract", "blind", True)
    assert label.weight == pytest.approx(20)
    assert list(label.readings.all()) == [reading]
    case.refresh_from_db()
    assert case.status == "resolved" and case.claimed_by is None


def test_where_the_ai_differs_both_are_shown_and_a_change_never_trains() -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = start(client)
    assert blind(client, address, "normal").headers["Location"] == address
    page = client.get(address).content.decode()
    assert "The AI sees it differently" in page and AI_SAYS_CATARACT in page and "<dd>No cataract" in page
    client.post(address, {"step": "final", "answer": "cataract", "seconds": "2"})
    reading, label = Reading.objects.get(), Label.objects.get()
    assert (reading.blind_answer, reading.final_answer) == ("normal", "cataract")
    assert reading.ai_shown_at is not None and reading.final_seconds == 2
    assert (label.answer, label.provenance, label.may_train) == ("cataract", "after_ai", False)


def test_who_keeps_an_answer_against_the_ai_gets_a_second_reader_and_their_agreement_trains() -> None:
    case = make_case("cataract")
    one, two = logged_in(ReaderFactory.create()), logged_in(ReaderFactory.create())
    address = start(one)
    blind(one, address, "normal")
    one.post(address, {"step": "final", "answer": "normal"})
    case.refresh_from_db()
    assert case.status == "second" and not Label.objects.exists()
    assert one.post("/review/next/").headers["Location"] == "/review/", "not the same person again"

    assert start(two) == address
    page = two.get(address).content.decode()
    assert "differently" not in page and "One reader" not in page, "the second reader is blind to the first"
    blind(two, address, "normal")
    two.post(address, {"step": "final", "answer": "normal"})
    label = Label.objects.get()
    assert (label.answer, label.provenance, label.may_train, label.readings.count()) == ("normal", "blind", True, 2)


def test_two_that_differ_go_to_an_adjudicator_who_sees_no_names_and_says_why() -> None:
    make_case("cataract")
    one, two = ReaderFactory.create(username="anna-reader"), ReaderFactory.create(username="bert-reader")
    judge = logged_in(AdjudicatorFactory.create())
    address = start(logged_in(one))
    blind(logged_in(one), address, "normal")
    logged_in(one).post(address, {"step": "final", "answer": "normal"})
    blind(logged_in(two), start(logged_in(two)), "cataract")

    assert start(judge) == address
    page = judge.get(address).content.decode()
    assert "Two readers differ" in page and page.count("One reader") == 2
    for hidden in ("anna-reader", "bert-reader", "0.62", "<dt>The AI</dt>", "uncertain"):
        assert hidden not in page
    without = judge.post(address, {"step": "adjudicate", "answer": "cataract"})
    assert without.status_code == 422 and "Say why" in without.content.decode()
    judge.post(address, {"step": "adjudicate", "answer": "cataract", "reason": "Clear white pupil."})
    label = Label.objects.get()
    assert (label.answer, label.provenance, label.may_train) == ("cataract", "adjudicated", True)
    assert label.readings.count() == 3


def test_an_unsure_reader_gets_a_second_one_even_when_the_ai_agrees() -> None:
    case = make_case("normal")
    client = logged_in(ReaderFactory.create())
    blind(client, start(client), "normal", unsure="on")
    case.refresh_from_db()
    assert case.status == "second"


def test_a_case_without_an_answer_of_the_ai_reveals_nothing_and_is_resolved() -> None:
    make_case("")
    client = logged_in(ReaderFactory.create())
    blind(client, start(client), "cataract")
    assert Label.objects.get().provenance == "blind"
    assert "The AI says the same" not in client.get("/review/").content.decode()


def neutral(html: str) -> str:
    """A page without what differs between any two cases: addresses, tokens, the time of day."""
    html = re.sub(r"\d+(:\d\d)? [ap]\.m\.", "TIME", html)
    html = re.sub(r"<time .*?</time>", "TIME", html)
    html = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", html)
    return re.sub(r'(csrfmiddlewaretoken" value="|X-CSRFToken": ")[^"]+', r"\1TOKEN", html)


@pytest.mark.parametrize(("answer", "status"), [("cataract", "resolved"), ("normal", "second")])
def test_a_share_is_shown_the_ai_first_marked_so_final_at_once_and_never_trains(
    settings: Any, answer: str, status: str
) -> None:
    settings.REVIEW_AI_FIRST_RATE = 1.0
    case, reader = make_case("cataract"), ReaderFactory.create()
    client = logged_in(reader)
    address = start(client)
    assert not ShownFirst.objects.exists(), "only what was shown is marked"
    page = client.get(address).content.decode()
    assert AI_SAYS_CATARACT in page and "shown first, on purpose" in page
    assert ShownFirst.objects.get().reader == reader
    ReviewCase.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert blind(client, address, answer).headers["Location"] == "/review/", "the case is still theirs, and no reveal"
    reading = Reading.objects.get()
    assert reading.ai_shown_first and reading.final_answer == answer
    assert reading.ai_shown_at is not None and reading.ai_shown_at <= reading.blind_at
    case.refresh_from_db()
    assert case.status == status
    other = logged_in(ReaderFactory.create())
    if status == "second":
        assert "<dt>The AI</dt>" not in other.get(start(other)).content.decode(), "the second reader is blind"
        blind(other, address, answer)
        other.post(address, {"step": "final", "answer": answer})
    label = Label.objects.get()
    assert (label.answer, label.provenance, label.may_train) == (answer, "after_ai", False)


def test_who_is_shown_the_ai_first_is_chosen_by_hash(settings: Any) -> None:
    settings.REVIEW_AI_FIRST_RATE = 0.1
    case = make_case("cataract")
    readers = [User(pk=number) for number in range(1, 2001)]
    chosen = [policy.shows_ai_first(case, reader) for reader in readers]
    assert chosen == [policy.shows_ai_first(case, reader) for reader in readers]
    assert 140 < sum(chosen) < 260
    silent = make_case("")
    assert not any(policy.shows_ai_first(silent, reader) for reader in readers), "there is nothing to show"


def test_undo_takes_the_label_back_and_the_next_answer_knows_that_the_ai_was_seen() -> None:
    case = make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = start(client)
    blind(client, address, "cataract")
    reading = Reading.objects.get()
    assert str(reading.pk) in client.get("/review/").content.decode()
    assert client.post("/review/undo/", {"reading": reading.pk}).headers["Location"] == address
    case.refresh_from_db()
    assert case.status == "first" and not Label.objects.standing().exists()
    assert "does not train" in client.get(address).content.decode()
    blind(client, address, "normal")
    client.post(address, {"step": "final", "answer": "normal"})
    assert Reading.objects.count() == 2, "nothing is deleted"
    again = Reading.objects.get(retracted_at__isnull=True)
    assert again.ai_shown_first and again.final_answer == "normal"
    case.refresh_from_db()
    assert case.status == "second"


def test_undo_is_refused_once_another_reader_has_begun() -> None:
    make_case("cataract")
    one, two = logged_in(ReaderFactory.create()), logged_in(ReaderFactory.create())
    address = start(one)
    blind(one, address, "cataract", unsure="on")
    start(two)
    answer = one.post("/review/undo/", {"reading": Reading.objects.get().pk}, follow=True)
    assert "Another reader has begun" in answer.content.decode()
    assert Reading.objects.get().retracted_at is None
    assert one.post("/review/undo/", {"reading": "rubbish"}).status_code == 404


def overtaken(case: ReviewCase) -> tuple[Client, Client, str]:
    """Two readers of one case: the first one's lease has passed to the second."""
    one, two = logged_in(ReaderFactory.create()), logged_in(ReaderFactory.create())
    address = start(one)
    ReviewCase.objects.filter(pk=case.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert start(two) == address
    return one, two, address


def test_a_reader_overtaken_by_another_gives_a_second_opinion_and_does_not_see_the_ai() -> None:
    case = make_case("cataract")
    one, two, address = overtaken(case)
    answer = one.post(address, {"step": "blind", "answer": "cataract", "note": "Worth keeping."}, follow=True)
    assert "kept as a second opinion" in answer.content.decode()
    page = one.get(address).content.decode()
    assert "The AI" not in page
    assert one.get(address + "heat/").status_code == 403
    blind(two, address, "cataract")
    case.refresh_from_db()
    assert case.status == "resolved"
    kept = Reading.objects.get(role="extra")
    assert (kept.final_answer, kept.note, kept.ai_shown_at) == ("cataract", "Worth keeping.", None)
    assert list(Label.objects.get().readings.all()) == [Reading.objects.get(role="first")]


@pytest.mark.parametrize("early", [True, False])
def test_a_second_opinion_that_differs_goes_to_an_adjudicator_in_either_order(early: bool) -> None:
    case = make_case("cataract")
    one, two, address = overtaken(case)
    for client, answer in ((one, "normal"), (two, "cataract")) if early else ((two, "cataract"), (one, "normal")):
        blind(client, address, answer)
    case.refresh_from_db()
    assert case.status == "adjudication" and not Label.objects.standing().exists()
    assert sorted(Reading.objects.values_list("role", "final_answer")) == [("first", "cataract"), ("second", "normal")]


def test_a_second_opinion_is_the_second_reading_where_one_is_wanted() -> None:
    case = make_case("normal")
    one, two, address = overtaken(case)
    blind(one, address, "normal")
    blind(two, address, "normal", unsure="on")
    case.refresh_from_db()
    assert case.status == "resolved"
    assert Label.objects.get().readings.count() == 2 and Label.objects.get().may_train


def test_an_answer_long_after_the_case_was_closed_is_409_and_keeps_what_was_typed() -> None:
    case = make_case("cataract")
    one, two, address = overtaken(case)
    blind(two, address, "cataract")
    ReviewCase.objects.update(resolved_at=timezone.now() - timedelta(hours=1))
    answer = blind(one, address, "normal", note="A note worth keeping.")
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "not stored" in page and "A note worth keeping." in page
    assert Reading.objects.count() == 1


def test_an_answer_after_the_lease_ended_is_accepted_if_no_other_reader_claimed_the_case() -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = start(client)
    ReviewCase.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    blind(client, address, "cataract")
    assert Reading.objects.count() == 1


def test_the_same_answer_sent_twice_is_stored_once() -> None:
    make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = start(client)
    blind(client, address, "cataract")
    assert blind(client, address, "cataract").status_code == 302
    assert blind(client, address, "normal").status_code == 409
    assert Reading.objects.count() == 1 and Label.objects.count() == 1


def test_who_leaves_after_the_ai_was_shown_keeps_the_blind_answer() -> None:
    case = make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = start(client)
    blind(client, address, "normal")
    client.post(address + "leave/")
    ReviewCase.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert start(logged_in(ReaderFactory.create())) == address, "a second reader gets it"
    case.refresh_from_db()
    assert case.status == "second" and Reading.objects.get().final_answer == "normal"


def test_a_reload_keeps_the_case_that_leaving_would_have_given_back() -> None:
    case = make_case("cataract")
    client = logged_in(ReaderFactory.create())
    address = start(client)
    client.post(address + "leave/")
    client.get(address)
    case.refresh_from_db()
    assert case.lease_until is not None and case.lease_until > timezone.now() + timedelta(minutes=9)


def test_permissions() -> None:
    case = make_case(image=stored_image())
    address = f"/review/cases/{case.pk}/"
    assert Client().get("/review/").headers["Location"].startswith("/accounts/login/")
    outsider, reader = logged_in(UserFactory.create()), ReaderFactory.create()
    assert outsider.get("/review/").status_code == 403
    assert outsider.get(address).status_code == 403
    assert outsider.get(address + "photo/").status_code == 403
    assert logged_in(reader).get(address + "photo/").status_code == 403, "not held, so not shown"
    assert blind(outsider, address, "cataract").status_code == 403
    DisclosureFactory.create(prediction=case.prediction, user=reader)
    assert blind(logged_in(reader), address, "cataract").status_code == 409
    assert logged_in(reader).post(address + "claim/").status_code == 409
    assert not Reading.objects.exists()


def test_the_holder_sees_the_photo_and_htmx_gets_the_case_alone() -> None:
    make_case(image=stored_image())
    client = logged_in(ReaderFactory.create())
    address = start(client)
    photo = client.get(address + "photo/")
    assert photo.headers["Content-Type"] == "image/jpeg" and photo.content[:2] == b"\xff\xd8"
    part = client.get(address, headers={"HX-Request": "true"})
    assert part.headers["HX-Push-Url"] == address
    assert "<html" not in part.content.decode() and 'id="case"' in part.content.decode()
    last = client.post(address, {"step": "blind", "answer": "cataract"}, headers={"HX-Request": "true"})
    assert last.headers["HX-Redirect"] == "/review/"
