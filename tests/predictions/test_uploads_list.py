"""The list of uploads and the API find photos by the same filters; filters can be saved by each user."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cataract.core import tokens
from predictions.answering import final_results
from predictions.answering.models import Disclosure, Prediction
from predictions.saved_filters.models import SavedFilter
from tests.factories import PredictionFactory, UserFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def sender() -> User:
    return UserFactory.create(roles=["screener"])


@pytest.fixture
def photos(sender: User) -> dict[str, Prediction]:
    """Three photos of one sender, and one of another."""
    now = timezone.now()
    common = {"uploaded_by": sender}

    def send(patient: str, decision: str, sent: Any, **image: Any) -> Prediction:
        facts = {f"image__{name}": value for name, value in {**common, "patient_key": patient, **image}.items()}
        return PredictionFactory.create(decision=decision, created_at=sent, done_at=sent, **facts)

    found = {
        "old": send("Ab-1", "normal", now - 9 * DAY, eye="OS", site_name="North"),
        "read": send("AB-12", "cataract", now - 2 * DAY, eye="OD", site_name="North", device_name="Lamp"),
        "today": send("C-1", "cataract", now, eye="OD", site_name="South"),
        "foreign": send("AB-1", "normal", now, uploaded_by=UserFactory.create(roles=["screener"])),
    }
    final_results.settle_by_people(image=found["read"].image, answer="other", basis="double", is_final=True)
    return found


def date(days_ago: int) -> str:
    return f"{timezone.localtime() - days_ago * DAY:%Y-%m-%d}"


CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"old", "read", "today"}),
    ({"patient": "Ab-1"}, {"old"}),
    ({"patient_prefix": "ab-1"}, {"old", "read"}),
    ({"eye": "OS"}, {"old"}),
    ({"site": "North"}, {"old", "read"}),
    ({"site": "North", "eye": "OD"}, {"read"}),
    ({"device": "Lamp"}, {"read"}),
    ({"state": ["final"]}, {"read"}),
    ({"state": ["final", "waiting"]}, {"old", "read", "today"}),
    ({"answer": "other"}, {"read"}),
    ({"answer": "cataract"}, set()),
    ({"decision": "cataract"}, {"read", "today"}),
    ({"since": date(2)}, {"read", "today"}),
    ({"until": date(2)}, {"old", "read"}),
    ({"since": date(2), "until": date(2)}, {"read"}),
    ({"new": "true"}, {"read"}),
    ({"new": "false"}, {"old", "today"}),
]


@pytest.mark.parametrize(("query", "expected"), CASES, ids=[str(query) for query, _ in CASES])
def test_page_and_api_find_the_same_photos(
    query: dict[str, Any], expected: set[str], photos: dict[str, Prediction], sender: User
) -> None:
    names = {str(row.pk): name for name, row in photos.items()}
    page = browser(sender).get("/uploads/", query)
    assert page.status_code == 200
    listed = re.findall(r'href="/results/([0-9a-f-]{36})/"', page.content.decode())
    assert {names[each] for each in listed} == expected and len(listed) == len(expected)
    _, key = tokens.create_token(user=sender, name="test", scopes=["read"], days=1)
    answer = Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/predictions", query)
    assert {names[row["id"]] for row in answer.json()["results"]} == expected
    assert set(Disclosure.objects.filter(user=sender).values_list("prediction_id", flat=True)) == {
        photos[name].pk for name in expected
    }


def test_a_filter_that_is_not_possible_is_named_and_does_not_filter(photos: Any, sender: User) -> None:
    page = browser(sender).get("/uploads/", {"since": "yesterday", "eye": "OS"}).content.decode()
    assert "Enter a valid date" in page and page.count("/results/") == 1
    _, key = tokens.create_token(user=sender, name="test", scopes=["read"], days=1)
    refused = Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/predictions", {"since": "yesterday"})
    assert refused.status_code == 422 and "since" in refused.json()["errors"]


def test_the_list_keeps_the_filters_from_page_to_page(sender: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictions.results.views.PAGE_SIZE", 2)
    PredictionFactory.create_batch(3, image__uploaded_by=sender, image__eye="OD")
    PredictionFactory.create_batch(2, image__uploaded_by=sender, image__eye="OS")
    client, shown = browser(sender), []
    address: str | None = "?eye=OD"
    while address:
        page = client.get(f"/uploads/{address}").content.decode()
        shown.append(page.count('<td><a href="/results/'))
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = html.unescape(older[1]) if older else None
    assert shown == [2, 1] and "3 photos found" in page
    newer = re.search(r'rel="prev" href="([^"]+)"', page)
    assert newer and "eye=OD" in newer[1]
    first = client.get(f"/uploads/{html.unescape(newer[1])}").content.decode()
    assert first.count('<td><a href="/results/') == 2 and 'rel="prev"' not in first
    last = client.get("/uploads/?eye=OD&oldest=1").content.decode()
    assert last.count('<td><a href="/results/') == 2 and 'rel="next"' not in last and 'rel="prev"' in last


@pytest.mark.parametrize("place", ["older=x", "newer=2026-01-01~x", "older=2026-01-01T00:00:00~1", "older=%00"])
def test_an_address_that_nobody_wrote_shows_the_newest_photos(place: str, sender: User) -> None:
    PredictionFactory.create(image__uploaded_by=sender)
    assert browser(sender).get(f"/uploads/?{place}").content.decode().count('<td><a href="/results/') == 1


def test_the_list_costs_the_same_queries_for_any_number_of_photos(
    sender: User,
) -> None:
    client, counts = browser(sender), []
    for number in (2, 12):
        for row in PredictionFactory.create_batch(number, image__uploaded_by=sender, image__patient_key=f"P-{number}"):
            final_results.settle_by_people(image=row.image, answer="cataract", basis="double", is_final=True)
        with CaptureQueriesContext(connection) as queries:
            client.get("/uploads/?patient_prefix=P&state=final&new=true")
        counts.append(len(queries))
    assert counts[0] == counts[1] < 25


def test_a_filter_is_saved_opened_and_deleted_by_its_user_only(photos: Any, sender: User) -> None:
    client, other = browser(sender), browser(UserFactory.create(roles=["screener"]))
    saved = client.post("/uploads/filters/", {"name": "North, right", "query": "site=North&eye=OD&oldest=1&device="})
    assert saved.status_code == 302 and saved["Location"] == "/uploads/?site=North&eye=OD"
    row = SavedFilter.objects.get()
    assert "North, right" in client.get("/uploads/").content.decode()
    opened = client.get(f"/uploads/filters/{row.pk}/", follow=True)
    assert opened.content.decode().count('href="/results/') == 1
    assert "North, right" not in other.get("/uploads/").content.decode()
    assert other.get(f"/uploads/filters/{row.pk}/").status_code == 404
    assert other.post(f"/uploads/filters/{row.pk}/delete/").status_code == 404
    client.post("/uploads/filters/", {"name": "North, right", "query": "site=North"})
    assert SavedFilter.objects.get().query == "site=North", "the same name replaces it"
    client.post(f"/uploads/filters/{row.pk}/delete/")
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize(
    ("sent", "words"),
    [({"name": "", "query": "eye=OD"}, "Enter a name"), ({"name": "All", "query": "older=x&eye="}, "Choose a filter")],
)
def test_a_filter_without_name_or_content_is_not_saved(sent: dict[str, str], words: str, sender: User) -> None:
    page = browser(sender).post("/uploads/filters/", sent, follow=True)
    assert words in page.content.decode() and not SavedFilter.objects.exists()
