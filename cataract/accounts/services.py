"""What changes accounts: roles, passwords, sessions and keys. Each change is recorded by `events.record`."""

from collections.abc import Iterable

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group, User
from django.db import transaction

from cataract.accounts import events
from cataract.accounts.models import Account, FailedSignIns
from cataract.core import tokens
from cataract.core.errors import BadField
from cataract.core.models import ApiToken
from cataract.roles import NOT_FOR_SERVICES, STAFF

KEEPS_ACCESS = "keeps_access"  # an attribute of a user whose password is about to be saved


@transaction.atomic
def set_roles(*, user: User, roles: Iterable[Group], by: User | None) -> None:
    """Give `user` exactly these roles. Those whose role works in the admin may open it, and no others."""
    before, after = set(user.groups.values_list("name", flat=True)), {role.name for role in roles}
    user.groups.set(roles)
    user.is_staff = user.is_superuser or not STAFF.isdisjoint(after)
    user.save(update_fields=["is_staff"])
    if before != after:
        events.record("roles_changed", user=user, by=by, before=sorted(before), after=sorted(after))


@transaction.atomic
def make_service_account(*, user: User, by: User | None) -> None:
    """Make `user` the account of another system: it has keys, no password, no sessions, and reads no cases.

    Raises BadField for a role that reads cases or works in the admin.
    """
    unfit = user.groups.filter(name__in=NOT_FOR_SERVICES).values_list("name", flat=True)
    if unfit:
        raise BadField(
            "groups", f"A service account cannot be {' or '.join(sorted(unfit))}: these roles are for people."
        )
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Account.objects.update_or_create(user=user, defaults={"is_service": True, "must_change_password": False})
    end_sessions(user=user, by=by)
    events.record("made_service_account", user=user, by=by)


@transaction.atomic
def close_account(*, user: User, by: User | None) -> None:
    """Deactivate `user`, end every session and revoke every key: opening the account again brings none back."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.is_active = False
    end_sessions(user=user, by=by)
    revoke_keys(user=user, by=by)
    events.record("account_closed", user=user, by=by)


@transaction.atomic
def reset_password(*, user: User, password: str | None, by: User | None) -> None:
    """Set a first or new password that somebody else knows: the user must change it when they next sign in.

    Ends every session and revokes every key of the user. `password=None` leaves them without a password.
    """
    if password is not None and is_service(user):
        raise BadField("password1", "A service account has no password: it uses API keys.")
    user.set_password(password)
    _keep_access(user)  # ended below, in the name of whoever did it
    user.save(update_fields=["password"])
    known_to_another = password is not None and by != user
    Account.objects.update_or_create(user=user, defaults={"must_change_password": known_to_another})
    end_sessions(user=user, by=by)
    revoke_keys(user=user, by=by)
    events.record("password_reset", user=user, by=by)


@transaction.atomic
def change_password(*, user: User, password: str) -> None:
    """Set the password that the user chose. Sessions under the old one end, except one whose hash is renewed."""
    user.set_password(password)
    _keep_access(user)  # the form asks whether the keys end, and renews the session
    user.save(update_fields=["password"])
    Account.objects.filter(user=user).update(must_change_password=False)
    events.record("password_changed", user=user)


@transaction.atomic
def remove_second_factor(*, user: User, by: User | None) -> None:
    """Remove every second factor of somebody who has lost theirs, and sign them out everywhere."""
    removed, _ = Authenticator.objects.filter(user=user).delete()
    end_sessions(user=user, by=by)
    events.record("second_factor_removed", user=user, by=by, removed=removed)


@transaction.atomic
def end_sessions(*, user: User, by: User | None = None, except_key: str = "") -> int:
    """Sign `user` out everywhere, except in the session of this key; returns how many sessions ended."""
    sessions = UserSession.objects.filter(user=user).exclude(session_key=except_key)
    ended = len([session.end() for session in sessions])
    if ended:
        events.record("sessions_ended", user=user, by=by, sessions=ended)
    return ended


@transaction.atomic
def forget_failures(*, user: User, by: User | None) -> None:
    """Let `user` try to sign in again at once, from wherever."""
    FailedSignIns.objects.filter(user=user).delete()
    events.record("waits_ended", user=user, by=by)


@transaction.atomic
def end_session(*, session: UserSession) -> None:
    """Sign the user of this session out there."""
    session.end()
    events.record("sessions_ended", user=session.user, sessions=1)


@transaction.atomic
def revoke_keys(*, user: User, by: User | None = None) -> int:
    """Revoke every API key of `user` that still lives; returns how many there were."""
    living = ApiToken.objects.filter(user=user, revoked_at__isnull=True)
    keys = list(living)
    for key in keys:
        tokens.revoke_token(token=key)
    if keys:
        events.record("keys_revoked", user=user, by=by, keys=len(keys))
    return len(keys)


@transaction.atomic
def make_key(*, user: User, name: str, scopes: list[str], days: int, by: User) -> tuple[ApiToken, str]:
    """Make an API key of `user` and return it with its text, which is shown once. Raises BadField."""
    row, text = tokens.create_token(user=user, name=name, scopes=scopes, days=days, by=by)
    events.record("key_made", user=user, by=by, key=row.pk, scopes=row.scopes, expires=row.expires_at.isoformat())
    return row, text


@transaction.atomic
def revoke_key(*, key: ApiToken, by: User) -> None:
    """End one key. Safe to repeat."""
    tokens.revoke_token(token=key)
    events.record("key_revoked", user=key.user, by=by, key=key.pk)


def is_service(user: User) -> bool:
    """Whether this is the account of another system."""
    return Account.objects.filter(user=user, is_service=True).exists()


def _keep_access(user: User) -> None:
    """Tell `passwords.EndsAccess` that whoever saves this password decides about sessions and keys."""
    setattr(user, KEEPS_ACCESS, True)  # not `vars`: the user of a request is wrapped


def must_change_password(user: User) -> bool:
    """Whether somebody else knows the password of `user`."""
    return Account.objects.filter(user=user, must_change_password=True).exists()
