"""News: what clinicians answered since the sender looked, on the pages and by e-mail; mails hold no patient data."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.checks import run_checks
from django.test import Client
from django.utils import timezone

from cataract.core.checks import SETTINGS
from predictions.answering import final_results
from predictions.answering.models import Prediction
from predictions.news import worker
from predictions.news.models import News
from tests.factories import PredictionFactory, ReaderFactory, UserFactory

pytestmark = pytest.mark.django_db


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def sender() -> User:
    return UserFactory.create(roles=["screener"], email="sender@clinic.example")


@pytest.fixture(autouse=True)
def mails(settings: Any) -> Any:
    settings.SENDS_MAIL = True
    settings.DEFAULT_FROM_EMAIL, settings.PUBLIC_URL = "screening@clinic.example", "https://screening.clinic.example"
    settings.NEWS_DIGEST_HOUR = 7
    return settings


def answered(sender: User | None, answer: str = "cataract", decision: str = "cataract", **values: Any) -> Prediction:
    """A photo that clinicians have answered."""
    row = PredictionFactory.create(decision=decision, image__uploaded_by=sender, image__patient_key="P-77", **values)
    if not row.needs_review or row.reasons == ["audit_sample"]:
        final_results.settle_by_ai(row)
    final_results.settle_by_people(image=row.image, answer=answer, basis="double", is_final=True)
    return row


def morning(days: int = 1) -> datetime:
    """After the digest hour, so many days from now."""
    return timezone.localtime().replace(hour=7, minute=5) + timedelta(days=days)


def test_news_are_counted_marked_and_seen(sender: User) -> None:
    client, rows = browser(sender), [answered(sender) for _ in range(3)]
    PredictionFactory.create(image__uploaded_by=sender)  # still waits
    page = client.get("/uploads/").content.decode()
    assert ">3 <" in page and "new answers<" in page and page.count('<strong class="new">') == 3
    assert client.get("/uploads/").content.decode().count('<strong class="new">') == 3, "the list alone is not reading"
    client.get(f"/results/{rows[0].pk}/")
    assert ">2 <" in client.get("/upload/").content.decode()
    client.post("/uploads/seen/")
    page = client.get("/uploads/").content.decode()
    assert "top__news" not in page and '<strong class="new">' not in page
    final_results.settle_by_people(image=rows[0].image, answer="normal", basis="adjudicated", is_final=True)
    assert "new answer<" in client.get("/uploads/").content.decode(), "an amendment is news again"
    assert "top__news" not in browser(UserFactory.create(roles=["screener"])).get("/uploads/").content.decode()
    assert "top__news" not in browser(ReaderFactory.create()).get("/review/").content.decode()


def test_an_answer_that_is_taken_back_is_no_news(sender: User) -> None:
    row = answered(sender)
    final_results.take_back(image=row.image)
    assert "top__news" not in browser(sender).get("/uploads/").content.decode()
    assert worker.send_mails(morning()) == 0


def test_the_digest_is_mailed_once_a_day_and_names_no_patient(sender: User) -> None:
    answered(sender), answered(sender), answered(None)
    assert worker.send_mails(timezone.now()) == 0, "not before the hour"
    assert worker.send_mails(morning()) == 1
    assert worker.send_mails(morning()) == 0, "run twice, mailed once"
    (message,) = mail.outbox
    assert message.to == ["sender@clinic.example"] and message.subject == "2 new answers"
    assert "https://screening.clinic.example/uploads/?new=true" in message.body
    for secret in ("P-77", "ataract", str(Prediction.objects.filter(image__uploaded_by=sender)[0].pk)):
        assert secret not in message.body + message.subject
    News.objects.update(seen_at=timezone.now(), mailed_at=None)
    assert worker.send_mails(morning(2)) == 0, "what was seen is not mailed"


@pytest.mark.parametrize("values", [{"needs_review": False, "reasons": []}, {"reasons": ["audit_sample"]}])
def test_a_changed_normal_is_mailed_at_once(sender: User, values: dict[str, Any]) -> None:
    browser(sender).post("/uploads/mail/", {})  # the digest is off; this is no digest
    answered(sender, decision="normal", **values)
    assert worker.send_mails() == 1 and worker.send_mails() == 0 and worker.send_mails(morning()) == 0
    (message,) = mail.outbox
    assert message.subject == "An earlier answer has changed"
    assert "P-77" not in message.body and "ataract" not in message.body and "ormal" not in message.body


@pytest.mark.parametrize(
    ("answer", "decision", "values"),
    [
        ("normal", "normal", {"reasons": ["audit_sample"]}),
        ("normal", "cataract", {"needs_review": False, "reasons": []}),
        ("cataract", "normal", {}),  # the AI's unsure answer was never told as one
    ],
)
def test_other_answers_wait_for_the_digest(sender: User, answer: str, decision: str, values: dict[str, Any]) -> None:
    answered(sender, answer, decision, **values)
    assert worker.send_mails() == 0 and worker.send_mails(morning()) == 1


def test_the_digest_can_be_switched_off_and_on(sender: User) -> None:
    client = browser(sender)
    assert 'name="wants_digest" id="id_wants_digest" checked' in client.get("/uploads/").content.decode()
    client.post("/uploads/mail/", {})
    answered(sender)
    assert worker.send_mails(morning()) == 0
    client.post("/uploads/mail/", {"wants_digest": "on"})
    assert worker.send_mails(morning()) == 1


def test_two_workers_at_once_mail_once(sender: User, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(sender)
    real = worker._send

    def send(message: Any, connection: Any) -> bool:
        monkeypatch.setattr(worker, "_send", real)
        assert worker.send_mails(morning()) == 0, "the rows are marked before the mail is sent"
        return real(message, connection)

    monkeypatch.setattr(worker, "_send", send)
    assert worker.send_mails(morning()) == 1 and len(mail.outbox) == 1


def test_a_mail_server_that_is_down_loses_no_news(sender: User, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(sender)
    with monkeypatch.context() as broken:

        def refuse(_self: Any) -> None:
            raise ConnectionRefusedError

        broken.setattr("django.core.mail.backends.locmem.EmailBackend.open", refuse)
        assert worker.send_mails(morning()) == 0
    assert worker.send_mails(morning()) == 1


@pytest.mark.parametrize("change", [{"email": ""}, {"is_active": False}])
def test_nobody_is_mailed_without_an_address_or_an_account(sender: User, change: dict[str, Any]) -> None:
    answered(sender)
    User.objects.filter(pk=sender.pk).update(**change)
    assert worker.send_mails(morning()) == 0 and not mail.outbox


def test_no_mail_is_sent_while_none_is_configured(sender: User, settings: Any) -> None:
    settings.SENDS_MAIL = False
    answered(sender)
    assert worker.send_mails(morning()) == 0 and not mail.outbox
    assert "wants_digest" not in browser(sender).get("/uploads/").content.decode()


@pytest.mark.parametrize(
    ("name", "value"), [("DEFAULT_FROM_EMAIL", ""), ("PUBLIC_URL", ""), ("PUBLIC_URL", "screening.clinic.example")]
)
def test_half_configured_mail_fails_by_name(name: str, value: str, settings: Any) -> None:
    assert run_checks(tags=[SETTINGS]) == []
    setattr(settings, name, value)
    (message,) = run_checks(tags=[SETTINGS])
    expected = {"DEFAULT_FROM_EMAIL": "EMAIL_FROM"}.get(name, name)
    assert message.is_serious() and message.msg.startswith(expected)
