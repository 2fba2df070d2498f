"""Notices for admins over HTTP: opened and resolved by the sweep, counted until seen, mailed once."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.utils import timezone

from cataract.ops.notices import worker
from cataract.ops.notices.models import Notice
from cataract.ops.notices.tasks import sweep_notices
from predictions.answering.models import Prediction
from predictions.drift.models import DriftCheck, DriftSegment
from review.cases.models import ReviewCase
from review.reading import services as reading_services
from tests.factories import PredictionFactory, ReaderFactory, ReleaseFactory, TrainingRunFactory, UserFactory
from tests.record import lifted
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return UserFactory.create(roles=["admin"], email="admin@clinic.example")


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def opened() -> set[tuple[str, str]]:
    worker.sweep()
    return set(Notice.objects.open().values_list("kind", "key"))


def late_case(hours: int = 30) -> ReviewCase:
    case = make_case("cataract")
    ReviewCase.objects.filter(pk=case.pk).update(created_at=timezone.now() - timedelta(hours=hours))
    return case


def test_a_late_queue_is_opened_counted_seen_and_resolved(admin: User, settings: Any) -> None:
    case, client = late_case(), logged_in(admin)
    assert "Nothing to look at" in client.get("/notices/").content.decode()
    sweep_notices()
    assert 'title="Notices you have not seen"' in client.get("/uploads/").content.decode()
    page = client.get("/notices/").content.decode()
    assert "1 case has waited for more than 24" in page and 'href="/review/worklist/"' in page
    worker.sweep()
    assert Notice.objects.count() == 1, "one open notice a cause"

    notice, other = Notice.objects.get(), logged_in(UserFactory.create(roles=["admin"]))
    assert client.post(f"/notices/{notice.pk}/seen/")["Location"] == "/notices/"
    assert "Notices you have not seen" not in client.get("/notices/").content.decode()
    assert "Notices you have not seen" in other.get("/notices/").content.decode(), (
        "seen by one admin is not seen by another"
    )
    other.post("/notices/seen/")
    assert "Notices you have not seen" not in other.get("/notices/").content.decode()

    reading_services.store_blind_answer(case=case, reader=ReaderFactory.create(), answer="cataract")
    worker.sweep()
    page = client.get("/notices/").content.decode()
    assert "Nothing to look at" in page and "1 resolved in the last 30 days" in page
    late_case()
    worker.sweep()
    assert "Notices you have not seen" in client.get("/notices/").content.decode(), "the same cause again is news"


def test_the_agreed_time_is_a_setting(settings: Any) -> None:
    late_case(hours=30)
    settings.REVIEW_AGREED_HOURS = 48.0
    assert opened() == set()
    settings.REVIEW_AGREED_HOURS = 24.0
    assert opened() == {("queue_late", "queue")}


def test_a_failed_run_stands_until_a_later_one_is_started(admin: User) -> None:
    run = TrainingRunFactory.create(status="failed", error="MemoryError: too large\nmore", kind="fast")
    TrainingRunFactory.create(status="failed", error="old", created_at=timezone.now() - timedelta(days=40))
    assert opened() == {("run_failed", str(run.pk))}
    page = logged_in(admin).get("/notices/").content.decode()
    assert "Fast model: MemoryError: too large" in page and f"/admin/training/trainingrun/{run.pk}/change/" in page
    assert logged_in(admin).get(f"/admin/training/trainingrun/{run.pk}/change/").status_code == 200
    TrainingRunFactory.create(status="queued", kind="fast")
    assert opened() == set()


def test_failed_predictions_stand_until_people_answered_them(admin: User) -> None:
    failed = {"status": "failed", "done_at": None, "error": "x", "reasons": ["failed"]}
    case = make_case("", **failed)
    PredictionFactory.create(decision="", **failed)
    day = timezone.now().date().isoformat()
    assert opened() == {("predictions_failed", day)}
    page = logged_in(admin).get("/notices/").content.decode()
    assert f"2 photos sent on {day}" in page
    assert logged_in(admin).get("/admin/predictions/prediction/?status__exact=failed").status_code == 200
    reading_services.store_blind_answer(case=case, reader=ReaderFactory.create(), answer="normal")
    worker.sweep()
    assert Notice.objects.open().get().detail == f"1 photo sent on {day}"
    with lifted():
        Prediction.objects.update(created_at=timezone.now() - timedelta(days=40))
    assert opened() == set()


def test_a_confirmed_drift_is_a_notice_until_it_is_gone(admin: User) -> None:
    segment = DriftSegment.objects.create(kind="all", release=ReleaseFactory.create(), state="suspected")
    assert opened() == set()
    row = {"difference": -0.62, "p": 1e-6, "alpha": 1e-4, "has_drifted": True}
    DriftCheck.objects.create(segment=segment, release=segment.release, state="drifted", measures={"brightness": row})
    noon = timezone.now().replace(hour=12)
    DriftSegment.objects.update(state="drifted", since=noon, confirmed_at=noon)
    assert opened() == {("drift", str(segment.pk))}
    page = logged_in(admin).get("/notices/").content.decode()
    assert f"All photos, since about {noon:%Y-%m-%d}: brightness 0.6 standard deviations lower" in page
    assert f'href="/review/drift/{segment.pk}/"' in page
    DriftSegment.objects.update(state="stable", since=None, confirmed_at=None)
    assert opened() == set()


def test_new_notices_are_mailed_once_and_name_no_patient(admin: User, settings: Any) -> None:
    UserFactory.create(roles=["admin"])  # without an address
    UserFactory.create(roles=["reader"], email="reader@clinic.example")
    UserFactory.create(roles=["admin"], email="gone@clinic.example", is_active=False)
    late_case()
    worker.sweep()
    assert mail.outbox == [], "no e-mail is configured"
    settings.SENDS_MAIL = True
    TrainingRunFactory.create(status="failed", error="cannot read photo of P-1")
    worker.sweep()
    worker.sweep()
    (sent,) = mail.outbox
    assert sent.to == ["admin@clinic.example"]
    assert "Cases have waited longer than agreed" in sent.body and "A training run has failed" in sent.body
    assert "P-1" not in sent.body


def test_a_mail_server_that_refuses_stops_nothing(admin: User, settings: Any) -> None:
    settings.SENDS_MAIL, settings.EMAIL_BACKEND = True, "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    late_case()
    assert opened() == {("queue_late", "queue")}


def test_only_admins_see_notices() -> None:
    late_case()
    worker.sweep()
    for role in ("auditor", "reader", "screener"):
        client = logged_in(UserFactory.create(roles=[role]))
        assert client.get("/notices/").status_code == 403
        assert "Notices" not in client.get("/uploads/").content.decode()
