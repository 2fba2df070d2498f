"""Who gets which case: no case twice, nobody's own case, the waiting ones first."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from review import progress, queue, services
from review.models import Reading, ReviewCase
from tests.review.makers import disclose, make_adjudicator, make_case, make_image, make_prediction, make_reader

CASES, THREADS = 120, 8


@pytest.mark.django_db(transaction=True)
def test_many_readers_at_once_never_share_a_case_and_lose_none() -> None:
    """Runs on whichever database is configured: SQLite by default, PostgreSQL where DATABASE_URL says so."""
    for _ in range(CASES):
        make_prediction("cataract")
    queue.open_cases()
    readers = [make_reader() for _ in range(THREADS)]
    errors: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def read_all(number: int) -> None:
        try:
            start.wait()
            while case := services.claim_next(reader=readers[number]):
                services.store_blind_answer(case=case, reader=readers[number], answer="cataract")
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=read_all, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    first = Counter(Reading.objects.filter(role="first").values_list("case_id", flat=True))
    assert len(first) == CASES
    assert set(first.values()) == {1}
    assert not ReviewCase.objects.filter(status="first").exists()


@pytest.mark.django_db
def test_uploader_is_never_the_blind_reader() -> None:
    uploader = make_reader()
    image = make_image(uploaded_by=uploader)
    make_case(image=image)
    assert services.claim_next(reader=uploader) is None
    assert progress.counts(uploader).for_others == 1


@pytest.mark.django_db
def test_whoever_saw_the_answer_of_the_ai_is_never_the_blind_reader() -> None:
    reader, case = make_reader(), make_case()
    disclose(case, reader)
    assert services.claim_next(reader=reader) is None
    with pytest.raises(services.Conflict):
        services.store_blind_answer(case=case, reader=reader, answer="normal")


@pytest.mark.django_db
def test_one_without_permission_gets_nothing() -> None:
    from tests.review.makers import make_user

    make_case()
    assert services.claim_next(reader=make_user()) is None


@pytest.mark.django_db
def test_where_the_ai_gave_no_answer_comes_first_and_the_starving_before_all() -> None:
    audit = make_case(reasons=["audit_sample"])
    make_case(reasons=["uncertain"])
    waiting = make_case("")
    reader = make_reader()
    assert services.claim_next(reader=reader) == waiting
    services.skip_case(case=waiting, reader=reader)
    ReviewCase.objects.filter(pk=audit.pk).update(created_at=timezone.now() - timedelta(days=2))
    assert services.claim_next(reader=reader) == audit


@pytest.mark.django_db
def test_a_skipped_case_comes_after_all_others_and_goes_to_others_at_once() -> None:
    reader, other = make_reader(), make_reader()
    make_case(), make_case()
    first = services.claim_next(reader=reader)
    assert first is not None
    services.skip_case(case=first, reader=reader, reason="Ask a colleague")
    second = services.claim_next(reader=reader)
    assert second is not None and second != first
    assert services.claim_next(reader=other) == first


@pytest.mark.django_db
def test_a_held_case_is_counted_with_its_end_and_comes_back_after_it() -> None:
    reader, other, case = make_reader(), make_reader(), make_case()
    assert services.claim_next(reader=reader) == case
    seen = progress.counts(other)
    assert (seen.ready, seen.held) == (0, 1) and seen.held_until is not None
    assert services.claim_next(reader=other) is None
    ReviewCase.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert services.claim_next(reader=other) == case


@pytest.mark.django_db
def test_an_adjudicator_is_neither_of_the_readers() -> None:
    one, two, judge = make_adjudicator(), make_adjudicator(), make_adjudicator()
    case = make_case("cataract")
    reading = services.store_blind_answer(case=case, reader=one, answer="normal")
    services.store_final_answer(reading=reading, answer="normal")
    services.store_blind_answer(case=case, reader=two, answer="cataract")
    case.refresh_from_db()
    assert case.status == "adjudication"
    assert services.claim_next(reader=one) is None
    assert services.claim_next(reader=make_reader()) is None
    assert services.claim_next(reader=judge) == case


@pytest.mark.django_db
def test_opening_cases_twice_opens_them_once_with_their_propensity() -> None:
    make_prediction("normal", reasons=["audit_sample"], review_propensity=0.05)
    make_prediction("", status="failed", done_at=None, review_propensity=None, needs_review=False)
    assert queue.open_cases() == 2
    assert queue.open_cases() == 0
    assert sorted(ReviewCase.objects.values_list("review_propensity", flat=True)) == [0.05, 1.0]
    assert ReviewCase.objects.get(review_propensity=1.0).reasons == ["failed"]
    assert set(ReviewCase.objects.values_list("policy_version", flat=True)) == {queue.POLICY_VERSION}
