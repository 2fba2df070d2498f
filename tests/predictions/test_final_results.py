"""What the sender of a photo is told in the end: by the AI alone, by people, amended, or taken back."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.test import Client

from predictions.answering import final_results, services
from predictions.answering.models import FinalResult, Prediction
from predictions.photos.facts import PhotoFacts
from review.cases.models import ReviewCase
from review.queue import opening
from review.reading import services as reading
from tests.factories import AdjudicatorFactory, PredictionFactory, ReaderFactory, UserFactory, jpeg_bytes
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    """No second reading, control or shown answer by chance."""
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0


def read(case: ReviewCase, answer: str, *, reader: User | None = None, keep: bool = True) -> Any:
    """One reader claims the case, answers blind, and keeps the answer where the AI differs."""
    reader = reader or ReaderFactory.create()
    reading.claim_case(case=case, reader=reader)
    row = reading.store_blind_answer(case=case, reader=reader, answer=answer)
    if not row.final_answer and keep:
        reading.store_final_answer(reading=row, answer=answer)
    return row


def told(case: ReviewCase) -> tuple[str, ...] | None:
    """Answer, basis and status of the result that the sender is told now."""
    assert case.prediction is not None
    result = Prediction.objects.get(pk=case.prediction.pk).final_result
    return None if result is None else (result.answer, result.basis, result.status)


def test_a_sure_answer_is_final_a_checked_one_provisional_and_an_unsure_one_waits(champion: Any, settings: Any) -> None:
    settings.AUDIT_RATE = 1e-9
    sure = services.upload_photo(data=jpeg_bytes(1), user=None, source="api", facts=PhotoFacts(eye="OD"))
    assert not sure.needs_review, "the tiny release is sure of this photo"
    assert sure.final_result is not None and sure.state == "final"
    assert (sure.final_result.answer, sure.final_result.basis) == (sure.decision, "ai")
    settings.AUDIT_RATE = 1.0
    checked = services.upload_photo(data=jpeg_bytes(2), user=None, source="api", facts=PhotoFacts(eye="OD"))
    assert checked.reasons == ["audit_sample"] and checked.state == "provisional"
    unsure = PredictionFactory.create(reasons=["uncertain"])
    assert final_results.settle_by_ai(unsure) is None and unsure.state == "waiting"


def test_one_reader_who_agrees_makes_it_final() -> None:
    case = make_case("normal")
    read(case, "normal")
    assert told(case) == ("normal", "single", "final")


def test_two_readers_against_the_ai() -> None:
    case = make_case("normal")
    read(case, "cataract")
    assert told(case) == ("cataract", "single", "provisional")
    read(case, "cataract")
    assert told(case) == ("cataract", "double", "final")
    assert FinalResult.objects.standing().get().contradicts_ai
    assert case.prediction is not None and case.prediction.decision == "normal", "the AI's answer stays"


def test_readers_who_differ_tell_nothing_until_the_adjudicator_decides() -> None:
    case = make_case("normal")
    read(case, "cataract")
    read(case, "normal")
    assert told(case) is None
    adjudicator = AdjudicatorFactory.create()
    reading.claim_case(case=case, reader=adjudicator)
    reading.adjudicate(case=case, adjudicator=adjudicator, answer="cataract", reason="A dense nucleus.")
    assert told(case) == ("cataract", "adjudicated", "final")


def test_an_undone_answer_is_taken_back_and_another_one_amends() -> None:
    case = make_case("cataract")
    reader = ReaderFactory.create()
    row = read(case, "cataract", reader=reader)
    assert told(case) == ("cataract", "single", "final")
    reading.undo_reading(reading=row, reader=reader)
    assert told(case) is None
    case.refresh_from_db()
    read(case, "normal", reader=reader)  # the same reader, who knows the AI's answer now: a second one must agree
    read(case, "normal")
    assert told(case) == ("normal", "double", "amended")
    history = list(FinalResult.objects.order_by("pk").values_list("answer", "status"))
    assert history == [("cataract", "final"), ("normal", "provisional"), ("normal", "amended")]


def test_a_final_answer_of_the_ai_that_people_overrule_is_amended() -> None:
    prediction = PredictionFactory.create(decision="normal", needs_review=False, reasons=[])
    final_results.settle_by_ai(prediction)
    case = ReviewCase.objects.create(
        prediction=prediction, image=prediction.image, reasons=["requested"], review_propensity=1.0, policy_version="t"
    )
    read(case, "cataract")
    read(case, "cataract")
    assert told(case) == ("cataract", "double", "amended")


def test_the_answer_of_people_stands_for_a_new_prediction_of_the_same_photo() -> None:
    case = make_case("cataract")
    read(case, "cataract")
    again = PredictionFactory.create(image=case.image, decision="normal", needs_review=False, reasons=[])
    final_results.settle_by_ai(again)
    assert again.final_result is not None
    assert (again.final_result.answer, again.final_result.contradicts_ai) == ("cataract", True)


def test_a_recheck_keeps_the_result_until_its_readers_agree_and_then_amends_every_prediction() -> None:
    first = make_case("cataract")
    read(first, "cataract")
    again = PredictionFactory.create(image=first.image, decision="cataract", reasons=["uncertain"])
    final_results.settle_by_ai(again)
    opening.open_cases()
    recheck = ReviewCase.objects.get(prediction=again)
    read(recheck, "normal")
    assert told(first) == told(recheck) == ("cataract", "single", "final")
    read(recheck, "normal")
    assert told(first) == told(recheck) == ("normal", "double", "amended")


def test_the_same_answer_again_is_stored_once() -> None:
    case = make_case("cataract")
    read(case, "cataract")
    for _ in range(2):
        final_results.settle_by_people(image=case.image, answer="cataract", basis="single", is_final=True)
    assert FinalResult.objects.count() == 1


def test_the_database_refuses_to_rewrite_a_result() -> None:
    result = FinalResult.objects.create(
        prediction=PredictionFactory.create(), answer="normal", basis="single", status="final"
    )
    for change in ({"answer": "cataract"}, {"status": "amended"}, {"reason": "nobody knows"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            FinalResult.objects.filter(pk=result.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        FinalResult.objects.create(prediction=result.prediction, answer="cataract", basis="single", status="final")
    with connection.cursor() as cursor, pytest.raises(DatabaseError), transaction.atomic():
        cursor.execute("UPDATE predictions_finalresult SET basis = 'double'")


def test_states_and_changes_are_found_over_the_api(client: Client) -> None:
    owner = UserFactory.create(roles=["screener"])
    case = make_case("normal", image__uploaded_by=owner)
    other = make_case("cataract", image__uploaded_by=owner)
    before = case.created_at.isoformat()
    read(case, "cataract")
    read(case, "cataract")
    client.force_login(owner)

    def listed(**query: str) -> list[str]:
        answer = client.get("/api/v1/predictions", query)
        assert answer.status_code == 200, answer.content
        return [row["id"] for row in answer.json()["results"]]

    assert case.prediction is not None and other.prediction is not None
    first, second = str(case.prediction.pk), str(other.prediction.pk)
    assert listed(state="final") == [first] and listed(state="waiting") == [second]
    final_at = FinalResult.objects.standing().get().at.isoformat()
    assert listed(changed_since=final_at) == [first] and set(listed(changed_since=before)) == {first, second}
    row = client.get(f"/api/v1/predictions/{first}").json()
    assert row["state"] == "final" and row["prediction"] == "normal" and row["needs_review"]
    assert row["final_result"]["answer"] == "cataract" and row["final_result"]["contradicts_ai"]
    assert row["message"] == "Clinicians say: cataract." and "Refer" in row["next"]
    names = set(ReviewCase.objects.get(pk=case.pk).readings.values_list("reader__username", flat=True))
    assert not any(name in str(row) for name in names), "never a reader's name"
