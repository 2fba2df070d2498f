"""User administration in the admin: whom an admin may change, which rights they may give, and who must remain."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from cataract.core import tokens
from cataract.core.models import ApiToken
from cataract.roles import ROLES
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> User:
    user: User = UserFactory.create(roles=["admin"])
    client.force_login(user)
    return user


def page(user: User, name: str = "change") -> str:
    return reverse(f"admin:auth_user_{name}", args=[user.pk])


def groups(*names: str) -> list[int]:
    return list(Group.objects.filter(name__in=names).values_list("pk", flat=True))


def send(client: Client, user: User, *roles: str, **values: object) -> int:
    """Fill in the form of a user; returns the status. 302 is a form that was taken."""
    form = {"username": user.username, "is_active": "on", "groups": groups(*roles), **values}
    form = {name: value for name, value in form.items() if value != ""}
    return client.post(page(user), form).status_code


def roles_of(user: User) -> set[str]:
    return set(User.objects.get(pk=user.pk).groups.values_list("name", flat=True))


def test_an_admin_does_not_edit_their_own_account(client: Client, admin: User) -> None:
    """Finding 3: no superuser by a tick in one's own form, no reader's rights beside those of an admin."""
    UserFactory.create(roles=["admin"])
    assert send(client, admin, "admin", "reader", "adjudicator", is_superuser="on", is_staff="on") == 403
    fresh = User.objects.get(pk=admin.pk)
    assert not fresh.is_superuser
    assert roles_of(admin) == {"admin"}
    assert client.get(page(admin)).status_code == 200  # to look at


def test_an_admin_makes_nobody_superuser_and_gives_no_raw_permission(client: Client, admin: User) -> None:
    user = UserFactory.create(roles=["screener"])
    one = Permission.objects.get(codename="read_reviewcase")
    assert send(client, user, "screener", is_superuser="on", is_staff="on", user_permissions=[one.pk]) == 302
    fresh = User.objects.get(pk=user.pk)
    assert not fresh.is_superuser
    assert not fresh.is_staff
    assert not fresh.user_permissions.exists()
    text = client.get(page(user)).content.decode()
    assert 'name="is_superuser"' not in text
    assert 'name="user_permissions"' not in text


@pytest.mark.parametrize("name", ["change", "password_change"])
def test_an_admin_does_not_touch_a_superuser(client: Client, admin: User, name: str) -> None:
    above = UserFactory.create(is_superuser=True, is_staff=True)
    form = {"username": "mine", "password1": "another long password", "password2": "another long password"}
    address = reverse("admin:auth_user_password_change", args=[above.pk]) if name == "password_change" else page(above)
    assert client.post(address, form).status_code == 403
    assert User.objects.get(pk=above.pk).check_password(PASSWORD)
    assert User.objects.get(pk=above.pk).username == above.username


def test_an_admin_gives_the_roles_of_the_product(client: Client, admin: User) -> None:
    user = UserFactory.create()
    for role in ROLES:
        assert send(client, user, role) == 302
        assert roles_of(user) == {role}
        assert User.objects.get(pk=user.pk).is_staff == (role in ("admin", "auditor"))


def test_nobody_gives_rights_that_they_do_not_hold(client: Client) -> None:
    """A person with the right to change users, and no other, gives no role that can do more."""
    manager = UserFactory.create(roles=["screener"], is_staff=True)
    manager.user_permissions.add(*Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client.force_login(manager)
    user, reader = UserFactory.create(), UserFactory.create(roles=["reader"])
    assert send(client, user, "admin") == 200  # refused by the form
    assert send(client, user, "reader") == 200
    assert roles_of(user) == set()
    assert send(client, user, "screener") == 302
    assert send(client, reader, "screener") == 403  # who can do more than they is not theirs to change
    form = {"password1": "another long password", "password2": "another long password"}
    assert client.post(reverse("admin:auth_user_password_change", args=[reader.pk]), form).status_code == 403


@pytest.mark.parametrize("gone", ["is_superuser", "is_active"])
def test_the_last_admin_stays(client: Client, gone: str) -> None:
    only: User = UserFactory.create(is_superuser=True, is_staff=True)
    client.force_login(only)
    form = {"username": only.username, "is_active": "on", "is_superuser": "on", gone: ""}
    form = {name: value for name, value in form.items() if value}
    answer = client.post(page(only), form)
    assert answer.status_code == 200
    assert "This is the last account that can administer the system." in answer.content.decode()
    UserFactory.create(roles=["admin"], is_active=False)  # a closed account counts for nothing
    assert client.post(page(only), form).status_code == 200
    UserFactory.create(roles=["admin"])
    assert client.post(page(only), form).status_code == 302


def test_accounts_are_deactivated_and_never_deleted(client: Client) -> None:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    user = UserFactory.create(roles=["reader"])
    assert client.post(page(user, "delete"), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
    client.post(reverse("admin:auth_user_changelist"), action)
    assert User.objects.filter(pk=user.pk).exists()


def test_roles_are_looked_at_and_not_edited(client: Client) -> None:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True, roles=["admin"]))
    role = Group.objects.get(name="reader")
    before = set(role.permissions.values_list("pk", flat=True))
    assert client.get(reverse("admin:auth_group_change", args=[role.pk])).status_code == 200
    assert client.post(reverse("admin:auth_group_change", args=[role.pk]), {"name": "reader"}).status_code == 403
    assert client.get(reverse("admin:auth_group_add")).status_code == 403
    assert set(role.permissions.values_list("pk", flat=True)) == before


def test_deactivation_ends_sessions_and_keys_for_good(client: Client, admin: User) -> None:
    """Off-boarding holds when the account is opened again later."""
    user = UserFactory.create(roles=["integrator"])
    _, key = tokens.create_token(user=user, name="pacs", scopes=[ApiToken.Scope.READ], days=9)
    session = Client()
    session.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    assert session.get("/uploads/").status_code == 200
    assert send(client, user, "integrator", is_active="") == 302
    assert send(client, user, "integrator") == 302
    assert session.get("/uploads/").status_code == 302
    assert Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/predictions").status_code == 401
