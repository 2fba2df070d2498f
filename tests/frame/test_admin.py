"""The admin as people read it: photos, links both ways, short ids, and no JSON or sixteen digits."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cataract.core.admin import plain
from review.cases.models import Reading
from review.labels.models import Label
from review.reading import services
from tests.factories import ReaderFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db

_RAW = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|\d\.\d{7}|\[&quot;|\[&#x27;|\{&quot;|\{&#x27;")


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory.create(roles=["admin"]))
    return client


def read_case() -> Label:
    """A case with everything that belongs to it."""
    reader = ReaderFactory.create()
    case = make_case("cataract", reasons=["out_of_distribution"], probability=0.9723664068524728)
    services.claim_case(case=case, reader=reader)
    services.store_blind_answer(case=case, reader=reader, answer="cataract")
    return Label.objects.get(case=case)


def words(page: str) -> str:
    return re.sub(r"<[^>]*>", " ", page.split('id="content"')[1])


def test_every_page_of_a_case_shows_the_photo_and_links_the_others(admin: Client) -> None:
    label = read_case()
    case, reading = label.case, Reading.objects.get()
    assert case is not None and case.prediction is not None
    rows = {
        "predictions_eyeimage": case.image_id,
        "predictions_prediction": case.prediction_id,
        "review_reviewcase": case.pk,
        "review_reading": reading.pk,
        "review_label": label.pk,
    }
    addresses = {name: reverse(f"admin:{name}_change", args=[pk]) for name, pk in rows.items()}
    for name, address in addresses.items():
        page = admin.get(address).content.decode()
        assert f"/photos/{case.image_id}/view/" in page, name
        assert not _RAW.findall(words(page)), f"{name}: {_RAW.findall(words(page))}"
        assert "<h1>View" not in page, "titles are nouns"
        linked = {other for other, url in addresses.items() if other != name and f'href="{url}"' in page}
        assert "predictions_eyeimage" in linked | {name} and len(linked) >= 3, f"{name} links {linked}"


@pytest.mark.parametrize(
    "name", ["predictions_eyeimage", "predictions_prediction", "review_reviewcase", "review_reading", "review_label"]
)
def test_lists_show_photos_and_nothing_raw(admin: Client, name: str) -> None:
    label = read_case()
    page = admin.get(reverse(f"admin:{name}_changelist")).content.decode()
    assert f"/photos/{label.image_id}/thumb/" in page and not _RAW.findall(words(page))


def test_a_photo_tells_a_reader_nothing_of_its_case() -> None:
    label = read_case()
    client = Client()
    client.force_login(UserFactory.create(roles=["reader", "admin"]))
    page = client.get(reverse("admin:predictions_eyeimage_change", args=[label.image_id])).content.decode()
    assert "/admin/review/label/" not in page.split('id="content"')[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9723664068524728, "0.972"), (1.0, "1"), (1234.5678, "1,234.57"), (None, "-"), ([], "-"), (True, "yes"),
        (["out_of_distribution", "uncertain"], "out of distribution, uncertain"),
        ({"train": 3, "test": {"normal": 1}}, "train: 3; test: normal: 1"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_read_them(value: object, text: str) -> None:
    assert str(plain(value)) == text
