"""The worklist: filters in the address, nothing that influences a reader, the same cost however long it is."""

import hashlib
import re
import time
from datetime import timedelta
from statistics import median
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cataract.core.audit.models import AuditEntry
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from review.cases.models import ReviewCase
from review.queue import opening
from review.reading import services
from tests.factories import ClusterFactory, EyeImageFactory, ReaderFactory, ReleaseFactory, SiteFactory, UserFactory
from tests.review.makers import make_case
from tests.review.test_pages import logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return logged_in(UserFactory.create(roles=["admin"], username="the-admin"))


def rows(client: Client, query: str = "") -> int:
    response = client.get(f"/review/worklist/{query}")
    assert response.status_code == 200
    return len(response.context["page"].object_list)


def test_filters_are_in_the_address_and_what_does_not_exist_asks_for_nothing(admin: Client) -> None:
    reader = ReaderFactory.create()
    make_case(reasons=["uncertain"], image=EyeImageFactory.create(site_name="North"))
    old = make_case(reasons=["disagreement"], image=EyeImageFactory.create(site_name="South"))
    ReviewCase.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    done = make_case(reasons=["uncertain"])
    services.claim_case(case=done, reader=reader)
    services.store_blind_answer(case=done, reader=reader, answer="cataract")
    services.claim_case(case=old, reader=reader)
    counted = {"": 2, "?state=resolved": 1, "?reason=uncertain": 1, "?site=North": 1, "?age=day": 1, "?age=week": 0}
    counted |= {f"?reader={reader.pk}": 1, "?state=resolved&reason=disagreement": 0, "?site=Nowhere&state=x&page=9": 2}
    assert {query: rows(admin, query) for query in counted} == counted


def test_a_reader_sees_neither_reasons_nor_priorities_nor_who_was_asked_second() -> None:
    make_case(reasons=["uncertain"])
    second = make_case(reasons=["disagreement"])
    ReviewCase.objects.filter(pk=second.pk).move("second")
    client = logged_in(ReaderFactory.create())
    page = client.get("/review/worklist/?reason=uncertain&state=second").content.decode()
    assert rows(client, "?reason=uncertain") == 2 and rows(client, "?state=second") == 2
    assert "second reader" not in page and "disagreement" not in page and "Priority" not in page
    assert client.post("/review/worklist/", {"cases": str(second.pk), "priority": 1}).status_code == 403
    assert logged_in(UserFactory.create()).get("/review/worklist/").status_code == 403


def test_an_admin_assigns_and_moves_what_was_ticked(admin: Client) -> None:
    reader = ReaderFactory.create(username="anna")
    mine, seen = make_case(), make_case(image=EyeImageFactory.create(uploaded_by=reader))
    sent: dict[str, Any] = {"cases": [mine.pk, seen.pk], "assign": reader.pk, "priority": 7}
    page = admin.post("/review/worklist/?state=open", sent, follow=True)
    assert page.redirect_chain == [("/review/worklist/?state=open", 302)]
    text = page.content.decode()
    assert "1 assigned to anna" in text and "1 not:" in text and "2 have priority 7" in text
    assert ReviewCase.objects.get(assigned_to=reader) == mine
    assert set(ReviewCase.objects.values_list("priority", flat=True)) == {7}
    admin.post("/review/worklist/", {"cases": [mine.pk], "assign": "any"})
    assert not ReviewCase.objects.filter(assigned_to__isnull=False).exists()
    assert admin.post("/review/worklist/", {"assign": reader.pk}).status_code == 422
    assert admin.post("/review/worklist/", {"cases": [mine.pk], "assign": "12345"}).status_code == 422


def test_it_costs_the_same_queries_however_long_it_is(admin: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            rows(admin)
        return len(captured)

    make_case()
    few = queries()
    for _ in range(60):
        ReaderFactory.create()
        make_case(image=EyeImageFactory.create(site_name="North"))
    assert queries() == few


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_first_page_of_ten_thousand_cases(admin: Client) -> None:
    make_ten_thousand()
    spent = []
    for _ in range(7):
        started = time.perf_counter()
        assert rows(admin) == 50
        spent.append((time.perf_counter() - started) * 1000)
    print(f"\nworklist of 10,000 cases: median {median(spent):.0f} ms, most {max(spent):.0f} ms ({connection.vendor})")
    assert median(spent) < 3000, "generous: the aim is 300 ms on PostgreSQL on a machine of its own"
    reader: User = ReaderFactory.create()
    started = time.perf_counter()
    assert services.claim_next(reader=reader) is not None
    print(f"first claim of 10,000 cases: {(time.perf_counter() - started) * 1000:.0f} ms")


def make_ten_thousand() -> None:
    cluster, release, now = ClusterFactory.create(), ReleaseFactory.create(), timezone.now()
    values: dict[str, Any] = {"format": "JPEG", "width": 640, "height": 480, "size": 1000, "source": "import"}
    values |= {"cluster": cluster, "split": "train", "perceptual_hash": "0" * 16}
    sites = [SiteFactory.create(name=f"S{number}") for number in range(9)]
    images = []
    for number in range(10_000):
        digest = hashlib.sha256(f"many {number}".encode()).hexdigest()
        images.append(
            EyeImage(sha256=digest, stored_sha256=digest, stored_name=digest, site=sites[number % 9], **values)
        )
    EyeImage.objects.bulk_create(images, batch_size=500)
    given: dict[str, Any] = {"status": "done", "done_at": now, "release": release, "decision": "cataract"}
    given |= {"needs_review": True, "reasons": ["uncertain"], "review_propensity": 1.0}
    Prediction.objects.bulk_create([Prediction(image=image, **given) for image in images], batch_size=500)
    while opening.open_cases(2000):
        pass


def test_late_cases_lead_by_the_time_agreed_for_their_priority(admin: Client) -> None:
    fresh, soon, urgent = make_case(reasons=["uncertain"]), make_case(reasons=["disagreement"]), make_case(reasons=[])
    ReviewCase.objects.filter(pk=urgent.pk).update(priority=10, created_at=timezone.now() - timedelta(hours=5))
    ReviewCase.objects.filter(pk=soon.pk).update(created_at=timezone.now() - timedelta(hours=13))
    ReviewCase.objects.filter(pk=fresh.pk).update(created_at=timezone.now() - timedelta(hours=13))
    response = admin.get("/review/worklist/")
    assert [row.case for row in response.context["leading"]] == [soon, urgent], "the longest wait first"
    assert "Late: answer these first" in response.content.decode() and rows(admin, "?late=on") == 2
    late = {row.case.pk: row.is_late for row in response.context["rows"]}
    assert late == {fresh.pk: False, soon.pk: True, urgent.pk: True}


def test_the_agreed_times_are_settings(admin: Client, settings: Any) -> None:
    case = make_case(reasons=["uncertain"])
    ReviewCase.objects.filter(pk=case.pk).update(created_at=timezone.now() - timedelta(hours=2))
    assert rows(admin, "?late=on") == 0
    settings.REVIEW_AGREED_HOURS = 1.0
    assert rows(admin, "?late=on") == 1


def test_reasons_are_words_and_cases_are_links(admin: Client) -> None:
    case = make_case(reasons=["out_of_distribution"], image=EyeImageFactory.create(patient_key="P-7"))
    page = admin.get("/review/worklist/").content.decode()
    assert "Unusual photo" in page and "out_of_distribution</" not in page and "P-7</a>" in page
    assert f"/admin/review/reviewcase/{case.pk}/change/" in page and f"/photos/{case.image_id}/thumb/" in page
    assert str(case.pk) not in re.sub(r'(href|value|src)="[^"]*"', "", page), "no whole id is shown"


def test_a_reader_sees_no_due_time_no_photo_and_no_late_cases() -> None:
    case = make_case(reasons=["no_champion"])
    ReviewCase.objects.filter(pk=case.pk).update(created_at=timezone.now() - timedelta(hours=30))
    response = logged_in(ReaderFactory.create()).get("/review/worklist/?late=on")
    page = response.content.decode()
    assert not response.context["leading"] and len(response.context["rows"]) == 1
    assert "Late" not in page and "/thumb/" not in page and "No AI in service" not in page


def test_an_admin_takes_a_case_back_from_its_reader_and_that_is_audited(admin: Client) -> None:
    case, reader = make_case(), ReaderFactory.create(username="anna")
    services.claim_case(case=case, reader=reader)
    page = admin.post("/review/worklist/", {"cases": [case.pk], "end_leases": "true"}, follow=True)
    assert "1 case was taken back" in page.content.decode()
    case.refresh_from_db()
    assert case.claimed_by is None and case.lease_until is None
    entry = AuditEntry.objects.get(object=str(case.pk), act="admin_changed")
    assert entry.username == "the-admin" and entry.detail == {"what": "lease ended", "reader": reader.pk}
    assert services.claim_next(reader=ReaderFactory.create()) == case
    again = admin.post("/review/worklist/", {"cases": [make_case().pk], "end_leases": "true"}, follow=True)
    assert "0 cases were taken back" in again.content.decode(), "nobody held it"
