"""API keys: who makes them for whom, how long they live, and that an answer tells by which it was given."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from cataract.accounts import services
from cataract.core.errors import BadField
from cataract.core.models import ApiToken
from cataract.core.tokens import session_mark
from cataract.ops.notices import worker
from cataract.ops.notices.models import Notice
from review.cases.models import Reading
from tests.accounts.test_passwords import PASSWORD, signed_in
from tests.factories import ReaderFactory, UserFactory
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db
ADD = "/admin/predictions/apitoken/add/"


@pytest.fixture
def admin(client: Client) -> User:
    user: User = UserFactory.create(roles=["admin"])
    client.force_login(user)
    return user


def add(client: Client, user: User, *scopes: str, days: int = 90) -> Any:
    return client.post(ADD, {"user": user.pk, "name": "pacs", "scopes": scopes, "days": days})


def test_nobody_makes_a_key_that_reads_cases_for_another(client: Client, admin: User) -> None:
    """Finding 4: an admin answered in a reader's name."""
    reader = ReaderFactory.create()
    answer = add(client, reader, "review", "read")
    assert answer.status_code == 200
    assert "made by its reader only" in answer.content.decode()
    assert not ApiToken.objects.exists()
    with pytest.raises(BadField):
        services.make_key(user=reader, name="x", scopes=["review"], days=9, by=admin)
    assert add(client, UserFactory.create(roles=["integrator"]), "upload", "read").status_code == 302


def test_nobody_makes_a_key_of_somebody_who_can_do_more(client: Client, admin: User) -> None:
    superuser = UserFactory.create(is_superuser=True, is_staff=True)
    assert add(client, superuser, "admin").status_code == 200
    assert not ApiToken.objects.exists()


def test_a_reader_makes_sees_and_ends_own_keys() -> None:
    reader, other = ReaderFactory.create(), ReaderFactory.create()
    client = signed_in(reader.username)
    page = client.post("/accounts/keys/", {"name": "my program", "days": 30})
    key = page.context["made"]
    assert key in page.content.decode()
    assert key not in client.get("/accounts/keys/").content.decode()  # shown once
    by_key = Client(headers={"Authorization": f"Bearer {key}"})
    assert by_key.get("/api/v1/review/queue").status_code == 200
    assert by_key.get("/api/v1/predictions").status_code == 403  # review, and nothing else
    row = ApiToken.objects.get()
    assert "my program" in client.get("/accounts/keys/").content.decode()
    assert signed_in(other.username).post(f"/accounts/keys/{row.pk}/revoke/").status_code == 404
    assert client.post(f"/accounts/keys/{row.pk}/revoke/").status_code == 302
    assert by_key.get("/api/v1/review/queue").status_code == 401


def test_keys_live_90_days_unless_said_otherwise(client: Client, admin: User) -> None:
    assert client.get(ADD).context["adminform"].form["days"].value() == 90
    reader = signed_in(ReaderFactory.create().username)
    assert reader.get("/accounts/keys/").context["form"]["days"].value() == 90
    assert reader.post("/accounts/keys/", {"name": "x", "days": 91}).status_code == 422


def test_who_reads_no_cases_makes_no_key() -> None:
    client = signed_in(UserFactory.create(roles=["screener"]).username)
    assert client.get("/accounts/keys/").status_code == 200
    assert client.post("/accounts/keys/", {"name": "x", "days": 9}).status_code == 403


def test_a_warning_comes_before_a_key_ends(client: Client, admin: User) -> None:
    user = UserFactory.create(roles=["integrator"])
    made = [services.make_key(user=user, name=f"k{days}", scopes=["read"], days=days, by=admin)[0] for days in (13, 30)]
    ApiToken.objects.filter(pk__in=[key.pk for key in made]).update(last_used_at=timezone.now())
    worker.sweep()
    notice = Notice.objects.open().get(kind=Notice.Kind.KEY_ENDS)
    assert notice.detail.startswith(f"k13 of {user.username} ends on ")
    assert "k13 of" in client.get("/notices/").content.decode()
    own = signed_in(user.username)
    assert "(1 ends soon)" in own.get("/accounts/").content.decode()
    assert own.get("/accounts/keys/").content.decode().count("This key ends soon.") == 1
    services.revoke_key(key=made[0], by=admin)
    worker.sweep()
    assert not Notice.objects.open().filter(kind=Notice.Kind.KEY_ENDS).exists()


def test_an_unused_key_may_end_without_a_notice(admin: User) -> None:
    key, _ = services.make_key(user=admin, name="old", scopes=["read"], days=3, by=admin)
    ApiToken.objects.filter(pk=key.pk).update(last_used_at=timezone.now() - timedelta(days=40))
    worker.sweep()
    assert not Notice.objects.open().filter(kind=Notice.Kind.KEY_ENDS).exists()


def test_a_reading_keeps_its_session() -> None:
    case, reader = make_case("cataract"), ReaderFactory.create()
    client = signed_in(reader.username)
    client.post(f"/review/cases/{case.pk}/claim/")
    client.post(f"/review/cases/{case.pk}/", {"step": "blind", "answer": "cataract"})
    reading = Reading.objects.get()
    assert reading.key is None
    assert reading.session == session_mark(client.session.session_key or "")
    assert client.session.session_key not in (reading.session, "")  # the mark opens nothing


def test_a_reading_keeps_its_key() -> None:
    case, reader = make_case("cataract"), ReaderFactory.create()
    row, key = services.make_key(user=reader, name="mine", scopes=["review"], days=9, by=reader)
    client = Client(headers={"Authorization": f"Bearer {key}"})
    client.post(f"/api/v1/review/cases/{case.pk}/claim")
    sent = {"step": "blind", "answer": "cataract"}
    answer = client.post(f"/api/v1/review/cases/{case.pk}/answer", sent, content_type="application/json")
    assert answer.status_code == 200, answer.content
    reading = Reading.objects.get()
    assert (reading.key, reading.session) == (row, None)


def test_a_service_account_has_keys_and_cannot_sign_in(client: Client, admin: User) -> None:
    role = Group.objects.get(name="integrator")
    form = {"username": "pacs", "groups": [role.pk], "is_service": "on", "usable_password": "true"}
    assert client.post("/admin/auth/user/add/", form).status_code == 302
    service = User.objects.get(username="pacs")
    assert services.is_service(service)
    assert not service.has_usable_password()
    assert add(client, service, "upload").status_code == 302
    with pytest.raises(BadField):
        services.reset_password(user=service, password=PASSWORD, by=admin)
    address = f"/admin/auth/user/{service.pk}/password/"
    answer = client.post(address, {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"})
    assert answer.status_code == 200
    assert "A service account has no password" in answer.content.decode()
    assert Client().post("/accounts/login/", {"login": "pacs", "password": PASSWORD}).status_code == 200


def test_a_service_account_reads_no_cases(client: Client, admin: User) -> None:
    roles = {name: Group.objects.get(name=name).pk for name in ("reader", "integrator")}
    form = {"username": "robot", "groups": [roles["reader"]], "is_service": "on", "usable_password": "true"}
    assert "only for people" in client.post("/admin/auth/user/add/", form).content.decode()
    client.post("/admin/auth/user/add/", {**form, "groups": [roles["integrator"]]})
    robot = User.objects.get(username="robot")
    change = {"username": "robot", "is_active": "on", "groups": [roles["reader"]]}
    assert "only for people" in client.post(f"/admin/auth/user/{robot.pk}/change/", change).content.decode()
    assert add(client, robot, "review").status_code == 200
    assert not ApiToken.objects.exists()
