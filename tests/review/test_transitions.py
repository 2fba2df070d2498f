"""In every sequence of actions a case, its readings and its label stay consistent."""

from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.test import override_settings
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from predictions.answering import final_results
from predictions.answering.answers import Answer, contradicts
from review.cases.models import Reading, ReviewCase, ReviewCaseQuerySet
from review.labels.models import Label
from review.queue import opening, policy, withdrawal
from review.queue.services import request_review
from review.reading import amendments, services, transitions
from tests.factories import AdjudicatorFactory, EyeImageFactory, PredictionFactory, ReaderFactory
from tests.review.makers import make_case
from tests.review.test_races import at_once

ANSWERS = st.sampled_from(Answer.values)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("blind"), st.integers(0, 3), ANSWERS, st.booleans()),
        st.tuples(st.just("final"), st.integers(0, 3), ANSWERS, st.just(False)),
        st.tuples(st.just("undo"), st.integers(0, 3), ANSWERS, st.just(False)),
        st.tuples(st.just("adjudicate"), st.integers(0, 3), ANSWERS, st.just(False)),
        st.tuples(st.just("amend"), st.integers(0, 3), ANSWERS, st.just(False)),
        st.tuples(st.just("reopen"), st.integers(2, 3), ANSWERS, st.booleans()),
        st.tuples(st.just("skip"), st.integers(0, 3), ANSWERS, st.just(False)),
        st.tuples(st.just("claim"), st.integers(0, 3), ANSWERS, st.just(False)),
        st.tuples(st.just("settle"), st.just(0), ANSWERS, st.just(False)),
        st.tuples(st.just("expire"), st.just(0), ANSWERS, st.just(False)),
        st.tuples(st.just("retake"), st.just(0), ANSWERS, st.just(False)),
    ),
    max_size=25,
)


@override_settings(REVIEW_SECOND_READ_RATE=0.0)
class TestTransitions(TestCase):
    @settings(max_examples=120, deadline=None)
    @given(decision=st.sampled_from(["cataract", "normal", "ungradable", ""]), steps=STEPS)
    def test_no_sequence_of_acts_breaks_a_case(self, decision: str, steps: list[Any]) -> None:
        case = make_case(decision)
        people = [*ReaderFactory.create_batch(2), *AdjudicatorFactory.create_batch(2)]
        history: dict[Any, tuple[str, str]] = {}
        for act, who, answer, unsure in steps:
            person = people[who]
            own = Reading.objects.filter(case=case, reader=person, retracted_at__isnull=True).first()
            try:
                if act == "blind":
                    services.store_blind_answer(case=case, reader=person, answer=answer, unsure=unsure)
                elif act == "final" and own:
                    services.store_final_answer(reading=own, answer=answer)
                elif act == "undo" and own:
                    services.undo_reading(reading=own, reader=person)
                elif act == "adjudicate":
                    services.adjudicate(case=case, adjudicator=person, answer=answer, reason="Seen twice.")
                elif act == "amend":
                    amendments.amend_case(case=case, adjudicator=person, answer=answer, reason="A letter came.")
                elif act == "reopen":
                    to = "second" if unsure else "first"
                    amendments.reopen_case(case=case, adjudicator=person, reason="Look again.", to=to)
                elif act == "skip":
                    services.skip_case(case=case, reader=person)
                elif act == "claim":
                    services.claim_next(reader=person)
                elif act == "settle":
                    services.settle_abandoned()
                elif act == "expire":
                    ReviewCase.objects.update(claimed_by=None, lease_until=None)
                elif act == "retake":
                    retake(case)
                    withdrawal.withdraw_replaced()
            except (transitions.Conflict, PermissionDenied, amendments.OwnReading):
                pass
            case.refresh_from_db()
            assert_consistent(case, history)


def retake(case: ReviewCase, decision: str = "normal") -> None:
    """The photo of this case is taken again, and the new one is answered."""
    old = case.image
    new = EyeImageFactory.create(retake_of=old, eye=old.eye)
    final_results.replace_ungradable(PredictionFactory.create(image=new, decision=decision, needs_review=False))


def assert_consistent(case: ReviewCase, history: dict[Any, tuple[str, str]]) -> None:
    everyone = list(Reading.objects.filter(case=case, retracted_at__isnull=True))
    standing = [reading for reading in everyone if reading.role != Reading.Role.EXTRA]
    finished = [reading for reading in standing if reading.final_answer]
    label = Label.objects.standing().filter(image=case.image).first()

    roles = sorted(reading.role for reading in finished)
    expected: dict[str, list[list[str]]] = {"first": [[]], "second": [["first"]], "adjudication": [["first", "second"]]}
    expected["resolved"] = [
        ["first"],
        ["first", "second"],
        ["adjudicator", "first"],
        ["adjudicator", "first", "second"],
    ]
    expected["withdrawn"] = [[]]
    if case.status == "withdrawn":
        assert not Reading.objects.filter(case=case).exists(), "a case that somebody has answered is never withdrawn"
        assert case.claimed_by_id is None and case.prediction is not None and case.prediction.state == "replaced"
    assert roles in expected[case.status], f"{case.status} with {roles}"
    assert len(standing) - len(finished) <= (case.status in ("first", "second"))
    assert len({reading.reader_id for reading in everyone}) == len(everyone), "one person reads a case once"

    assert (label is not None) == (case.status == "resolved"), "a label stands exactly while its case is resolved"
    if label is not None:
        blind = all(r.blind_answer == r.final_answer and not r.ai_shown_first for r in standing)
        if label.may_train:
            assert label.provenance == "adjudicated" or blind, "an answer given after the AI never trains"
        decisive = [r for r in standing if r.role == Reading.Role.ADJUDICATOR] or standing
        assert {r.final_answer for r in decisive} == {label.answer}
    if case.status == "resolved" and len(finished) == 1:
        assert not contradicts(finished[0].final_answer, policy.ai_decision(case)), "no single reader overrules the AI"

    gone = set(case.readings.filter(taken_back_by__isnull=False).values_list("reader", flat=True))
    assert not gone & {reading.reader_id for reading in everyone}, "who was taken back does not read it again"
    assert (
        case.amendments.filter(kind="amended").count() <= Reading.objects.filter(case=case, role="adjudicator").count()
    )
    told = [prediction.final_result for prediction in case.image.predictions.all()]
    if case.status == "resolved":
        assert label is not None
        assert {result.answer for result in told if result is not None} == {label.answer}, "senders are told the label"

    now = {r.pk: (r.blind_answer, r.final_answer) for r in Reading.objects.filter(case=case)}
    for pk, (blind_answer, final_answer) in history.items():
        assert now[pk][0] == blind_answer, "a stored answer is never edited"
        assert not final_answer or now[pk][1] == final_answer
    history.update(now)


@pytest.mark.django_db
def test_illegal_moves_touch_no_row() -> None:
    case = make_case()
    rows = ReviewCase.objects.filter(pk=case.pk)
    assert rows.move("adjudication") == 0, "no second reading yet"
    rows.move("withdrawn")
    for status in ("first", "second", "adjudication", "resolved"):
        assert rows.move(status) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("old", ReviewCase.Status.values)
def test_the_database_refuses_illegal_moves(old: str) -> None:
    """Every pair of states, by an UPDATE without `move()`: the database itself refuses."""
    legal = ReviewCaseQuerySet.MOVES
    for new in ReviewCase.Status.values:
        case = make_case()
        rows = ReviewCase.objects.filter(pk=case.pk)
        rows.update(resolved_at=timezone.now())
        for step in {"first": [], "adjudication": ["second", "adjudication"]}.get(old, [old]):
            rows.update(status=step)
        try:
            with transaction.atomic():
                rows.update(status=new)
            moved = True
        except IntegrityError as error:
            moved = False
            assert "no such move of a review case" in str(error)
        assert moved == (old == new or old in legal[new]), f"{old} -> {new}"


@pytest.mark.django_db
def test_the_database_refuses_to_change_an_answer_or_a_label() -> None:
    case = make_case("cataract")
    reading = services.store_blind_answer(case=case, reader=ReaderFactory.create(), answer="cataract")
    changes: list[tuple[Any, dict[str, Any]]] = [
        (Reading.objects.filter(pk=reading.pk), {"blind_answer": "normal"}),
        (Reading.objects.filter(pk=reading.pk), {"final_answer": "normal"}),
        (Label.objects.filter(case=case), {"answer": "normal"}),
        (Label.objects.filter(case=case), {"provenance": "adjudicated"}),
        (Label.objects.filter(case=case), {"may_train": False}),
    ]
    for rows, change in changes:
        with pytest.raises(IntegrityError, match=r"never (changed|updated)"), transaction.atomic():
            rows.update(**change)


@pytest.mark.django_db
@pytest.mark.parametrize(("decision", "withdrawn"), [("normal", 1), ("cataract", 1), ("ungradable", 0)])
def test_only_a_retake_that_can_be_judged_withdraws_the_case(decision: str, withdrawn: int) -> None:
    case, reader = make_case("ungradable", probability=None), ReaderFactory.create()
    services.claim_case(case=case, reader=reader)
    retake(case, decision)
    assert policy.readable(reader).filter(pk=case.pk).exists() == (not withdrawn), "the queue knows it at once"
    assert withdrawal.withdraw_replaced() == withdrawn
    assert withdrawal.withdraw_replaced() == 0
    case.refresh_from_db()
    assert (case.status == "withdrawn") == (case.claimed_by is None) == bool(withdrawn)
    if withdrawn:
        with pytest.raises(transitions.Conflict, match="was withdrawn"):
            services.store_blind_answer(case=case, reader=reader, answer="normal")


@pytest.mark.django_db
def test_a_case_that_was_answered_or_asked_for_is_read_all_the_same() -> None:
    answered, reader = make_case("ungradable", probability=None), ReaderFactory.create()
    services.claim_case(case=answered, reader=reader)
    services.store_blind_answer(case=answered, reader=reader, answer="normal")  # the AI differs: not final yet
    retake(answered)
    asked_for = PredictionFactory.create(decision="ungradable", probability=None, needs_review=False)
    retake(ReviewCase(image=asked_for.image))
    requested = request_review(prediction=asked_for)
    assert withdrawal.withdraw_replaced() == 0
    assert policy.readable(ReaderFactory.create()).filter(pk=requested.pk).exists()


@pytest.mark.django_db
def test_no_case_is_opened_for_a_photo_that_was_replaced_before() -> None:
    prediction = PredictionFactory.create(decision="ungradable", probability=None)
    retake(ReviewCase(image=prediction.image))
    assert opening.open_cases() == 0


@pytest.mark.django_db(transaction=True)
def test_an_answer_and_a_withdrawal_at_the_same_instant_never_both_count() -> None:
    for _ in range(10):
        case, reader = make_case("ungradable", probability=None), ReaderFactory.create()
        services.claim_case(case=case, reader=reader)
        retake(case)

        def answer(case: ReviewCase = case, reader: User = reader) -> None:
            with suppress(transitions.Conflict):
                services.store_blind_answer(case=ReviewCase.objects.get(pk=case.pk), reader=reader, answer="ungradable")

        at_once([answer, withdrawal.withdraw_replaced])
        case.refresh_from_db()
        is_answered = Reading.objects.filter(case=case).exists()
        assert (case.status == "withdrawn") != is_answered, f"{case.status}, answered: {is_answered}"
