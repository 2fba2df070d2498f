"""Which case a reader gets: never one twice, never their own upload, urgent cases first."""

from datetime import timedelta

import pytest
from django.utils import timezone

from cataract.ml.labels import Reason
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import pack
from predictions.releases.models import Release
from predictions.results import wording
from review.cases.models import ReviewCase
from review.queue import claims, opening, policy, progress
from review.queue import services as queue_services
from review.reading import screens, transitions
from review.reading import services as reading_services
from tests.factories import (
    AdjudicatorFactory,
    DisclosureFactory,
    EyeImageFactory,
    PredictionFactory,
    ReaderFactory,
    UserFactory,
)
from tests.review.makers import make_case


def test_every_reason_has_a_band_and_its_sentences() -> None:
    asked_for_later = {Reason.REQUESTED, Reason.SUSPECTED_LABEL, Reason.LOOK_BACK}  # of a case, never of a prediction
    assert set(policy.BAND_OF_REASON) == set(screens.REASONS) == set(Reason)
    assert set(wording.REASONS) == set(Reason) - asked_for_later


@pytest.mark.django_db
def test_uploader_is_never_the_blind_reader() -> None:
    uploader = ReaderFactory.create()
    image = EyeImageFactory.create(uploaded_by=uploader)
    make_case(image=image)
    assert reading_services.claim_next(reader=uploader) is None
    assert progress.counts(uploader).for_others == 1


@pytest.mark.django_db
def test_a_case_claimed_ahead_in_the_middle_of_a_claim_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page asks for the next case while its look-ahead, in another request, is taking the last free one."""
    reader, case = ReaderFactory.create(), make_case()
    monkeypatch.setattr(reading_services, "settle_abandoned", lambda: claims.claim(case, reader))
    assert reading_services.claim_next(reader=reader) == case


@pytest.mark.django_db
def test_a_reader_who_saw_the_answer_of_the_ai_never_reads_blind() -> None:
    reader, case = ReaderFactory.create(), make_case()
    DisclosureFactory.create(prediction=case.prediction, user=reader)
    assert reading_services.claim_next(reader=reader) is None
    with pytest.raises(transitions.Conflict):
        reading_services.store_blind_answer(case=case, reader=reader, answer="normal")


@pytest.mark.django_db
def test_a_user_without_permission_gets_nothing() -> None:

    make_case()
    assert reading_services.claim_next(reader=UserFactory.create()) is None


@pytest.mark.django_db
def test_where_the_ai_gave_no_answer_comes_first_and_overdue_cases_before_all() -> None:
    audit = make_case(reasons=["audit_sample"])
    make_case(reasons=["uncertain"])
    waiting = make_case("")
    reader = ReaderFactory.create()
    assert reading_services.claim_next(reader=reader) == waiting
    reading_services.skip_case(case=waiting, reader=reader)
    ReviewCase.objects.filter(pk=audit.pk).update(created_at=timezone.now() - timedelta(days=2))
    assert reading_services.claim_next(reader=reader) == audit


@pytest.mark.django_db
def test_a_skipped_case_comes_after_all_others_and_goes_to_others_at_once() -> None:
    reader, other = ReaderFactory.create(), ReaderFactory.create()
    make_case(), make_case()
    first = reading_services.claim_next(reader=reader)
    assert first is not None
    reading_services.skip_case(case=first, reader=reader, reason="Ask a colleague")
    second = reading_services.claim_next(reader=reader)
    assert second is not None and second != first
    assert reading_services.claim_next(reader=other) == first


@pytest.mark.django_db
def test_a_claimed_case_is_counted_with_its_end_and_comes_back_after_it() -> None:
    reader, other, case = ReaderFactory.create(), ReaderFactory.create(), make_case()
    assert reading_services.claim_next(reader=reader) == case
    seen = progress.counts(other)
    assert (seen.ready, seen.held) == (0, 1) and seen.held_until is not None
    assert reading_services.claim_next(reader=other) is None
    ReviewCase.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert reading_services.claim_next(reader=other) == case


@pytest.mark.django_db
def test_an_adjudicator_is_neither_of_the_readers() -> None:
    one, two, judge = AdjudicatorFactory.create(), AdjudicatorFactory.create(), AdjudicatorFactory.create()
    case = make_case("cataract")
    reading = reading_services.store_blind_answer(case=case, reader=one, answer="normal")
    reading_services.store_final_answer(reading=reading, answer="normal")
    reading_services.store_blind_answer(case=case, reader=two, answer="cataract")
    case.refresh_from_db()
    assert case.status == "adjudication"
    assert reading_services.claim_next(reader=one) is None
    assert reading_services.claim_next(reader=ReaderFactory.create()) is None
    assert reading_services.claim_next(reader=judge) == case


@pytest.mark.django_db
def test_opening_cases_twice_opens_them_once_with_their_propensity() -> None:
    PredictionFactory.create(decision="normal", reasons=["audit_sample"], review_propensity=0.05)
    PredictionFactory.create(decision="", status="failed", done_at=None, review_propensity=None, needs_review=False)
    assert opening.open_cases() == 2
    assert opening.open_cases() == 0
    assert sorted(ReviewCase.objects.values_list("review_propensity", flat=True)) == [0.05, 1.0]
    assert ReviewCase.objects.get(review_propensity=1.0).reasons == ["failed"]
    assert set(ReviewCase.objects.values_list("policy_version", flat=True)) == {policy.POLICY_VERSION}


@pytest.mark.django_db
def test_assigned_cases_come_first_and_wait_for_their_reader_for_a_day() -> None:
    reader, other = ReaderFactory.create(), ReaderFactory.create()
    make_case(reasons=["no_champion"])
    case = make_case(reasons=["uncertain"])
    assert queue_services.assign_cases(cases=ReviewCase.objects.filter(pk=case.pk), reader=reader) == 1
    assert reading_services.claim_next(reader=other) != case
    assert reading_services.claim_next(reader=other) != case and progress.counts(other).for_others == 1
    assert reading_services.claim_next(reader=reader) == case
    claims.release(case, reader)
    claims.claimed_by(other).update(claimed_by=None, lease_until=None)
    ReviewCase.objects.filter(pk=case.pk).update(created_at=timezone.now() - timedelta(days=2))
    assert reading_services.claim_next(reader=other) == case, "it has waited too long for one person"


@pytest.mark.django_db
def test_cases_are_claimed_ahead_briefly_and_given_back_with_the_page() -> None:
    reader, other = ReaderFactory.create(), ReaderFactory.create()
    for _ in range(4):
        make_case()
    case = reading_services.claim_next(reader=reader)
    assert case is not None
    kept = reading_services.claim_ahead(case=case, reader=reader)
    assert len(kept) == 2 and case not in kept
    assert reading_services.claim_ahead(case=case, reader=reader) == kept, "asked again, the same are renewed"
    assert progress.counts(other).held == 3 and progress.counts(other).ready == 1
    assert reading_services.claim_next(reader=reader) == case, "the one that is read comes before those kept"
    reading_services.store_blind_answer(case=case, reader=reader, answer="cataract")
    assert reading_services.claim_ahead(case=case, reader=reader) == [], "asked too late, and nothing is renewed"
    taken = reading_services.claim_next(reader=reader)
    assert taken is not None and taken in kept
    claims.leave(taken, reader)
    ends = claims.claimed_by(reader).values_list("lease_until", flat=True)
    assert len(ends) == 2 and all(end and end < timezone.now() + timedelta(seconds=21) for end in ends)
    assert reading_services.claim_ahead(case=case, reader=other) == [], "nothing is kept for one who holds nothing"


@pytest.mark.django_db
def test_a_case_similar_to_the_last_one_waits_behind_the_others_of_its_band(champion: Release) -> None:
    def case_like(*numbers: float) -> ReviewCase:
        case = make_case(reasons=["uncertain"])
        Embedding.objects.create(image=case.image, encoder=champion.encoder, vector=pack(numbers))
        return case

    read, copy, different = case_like(1, 0), case_like(0.999, 0.01), case_like(0.2, 1)
    reader = ReaderFactory.create()
    for order, case in enumerate((read, copy, different)):
        ReviewCase.objects.filter(pk=case.pk).update(shuffle=order ^ policy.order_mask(reader))
    assert reading_services.claim_next(reader=reader) == read
    reading_services.store_blind_answer(case=read, reader=reader, answer="cataract")
    assert reading_services.claim_next(reader=reader) == different
    assert reading_services.claim_next(reader=ReaderFactory.create()) == copy, (
        "another reader has not seen a similar one"
    )


@pytest.mark.django_db
def test_each_reader_has_a_constant_order_of_their_own_inside_a_band() -> None:
    for _ in range(12):
        make_case(reasons=["uncertain"], image=EyeImageFactory.create(source="import"))
    readers = [ReaderFactory.create() for _ in range(6)]
    orders = [[case.pk for case in policy.in_order(policy.offered(reader), reader)] for reader in readers]
    assert orders == [[case.pk for case in policy.in_order(policy.offered(reader), reader)] for reader in readers]
    assert len({order[0] for order in orders}) > 1 and all(set(order) == set(orders[0]) for order in orders)


@pytest.mark.django_db
def test_a_patient_who_may_still_be_there_comes_before_the_photos_of_a_folder() -> None:
    folder = make_case(reasons=["disagreement"], image=EyeImageFactory.create(source="import"))
    waiting = make_case(reasons=["uncertain"], image=EyeImageFactory.create(source="upload"))
    checked = make_case(reasons=["audit_sample"], image=EyeImageFactory.create(source="upload"))
    reader = ReaderFactory.create()
    assert [case.pk for case in policy.in_order(policy.offered(reader), reader)] == [waiting.pk, folder.pk, checked.pk]
