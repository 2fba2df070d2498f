"""The search of the header finds by the beginning of a key, id or name, and only what its user may see."""

import pytest
from django.test import Client

from predictions.answering.models import Disclosure
from tests.factories import EyeImageFactory, PredictionFactory, ReaderFactory, ReleaseFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


def signed_in(*roles: str) -> Client:
    client = Client()
    client.force_login(UserFactory.create(roles=roles))
    return client


def found(client: Client, words: str) -> str:
    return client.get("/search/", {"q": words}).content.decode()


def test_a_patient_is_found_by_the_first_characters_of_the_key() -> None:
    for key in ("P-0042", "P-0043", "Q-1"):
        PredictionFactory.create(image=EyeImageFactory.create(patient_key=key))
    page = found(signed_in("admin"), "p-004")
    assert "P-0042" in page and "P-0043" in page and "Q-1" not in page


def test_a_single_find_opens_at_once() -> None:
    image = EyeImageFactory.create(patient_key="P-0042")
    prediction = PredictionFactory.create(image=image)
    admin = signed_in("admin")
    assert admin.get("/search/", {"q": "P-0042"})["Location"] == f"/patients/{image.patient_id}/"
    for words in (str(prediction.pk), str(prediction.pk)[:8], f"#{str(prediction.pk)[:12]}"):
        assert admin.get("/search/", {"q": words})["Location"] == f"/results/{prediction.pk}/"


def test_a_photo_is_found_by_its_own_number_too() -> None:
    prediction = PredictionFactory.create()
    address = signed_in("admin").get("/search/", {"q": str(prediction.image_id)})["Location"]
    assert address == f"/results/{prediction.pk}/"


def test_nobody_finds_what_they_may_not_see() -> None:
    prediction = PredictionFactory.create(image=EyeImageFactory.create(patient_key="P-0042"))
    case = make_case()
    release = ReleaseFactory.create()
    screener = signed_in("screener")
    for words in ("P-0042", str(prediction.pk), str(case.pk), release.pk[:6]):
        assert "Nothing begins with" in found(screener, words)


def test_a_reader_finds_a_case_and_is_shown_nothing_of_the_ai() -> None:
    case = make_case("cataract")
    reader = ReaderFactory.create()
    client = Client()
    client.force_login(reader)
    response = client.get("/search/", {"q": str(case.pk)[:8]})
    assert response["Location"] == f"/review/cases/{case.pk}/"
    assert not Disclosure.objects.filter(user=reader).exists()


def test_a_release_is_found_by_those_who_may_view_it() -> None:
    release = ReleaseFactory.create()
    address = signed_in("auditor").get("/search/", {"q": release.pk})["Location"]
    assert address == f"/admin/training/releasereview/{release.pk}/change/"


@pytest.mark.parametrize("words", ["", " ", "\0", "%", "'", "-" * 500, "ffffff", "0" * 40])
def test_any_words_are_answered(words: str) -> None:
    assert signed_in("admin").get("/search/", {"q": words}).status_code == 200


def test_the_queries_do_not_grow_with_what_is_found(django_assert_max_num_queries: object) -> None:
    client = signed_in("admin")
    client.get("/search/")
    for number in range(12):
        PredictionFactory.create(image=EyeImageFactory.create(patient_key=f"P-{number}"))
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        client.get("/search/", {"q": "P-"})
