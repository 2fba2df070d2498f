"""The one place where what happens to accounts is recorded: sign-in, sign-out, passwords, rights, sessions, keys."""

import logging
from typing import Any

from django.contrib.auth.models import User

from cataract.core.audit import services as audit
from cataract.core.audit.models import Act

log = logging.getLogger(__name__)

_ACTS = {
    "signed_in": Act.SIGNED_IN,
    "signed_out": Act.SIGNED_OUT,
    "sign_in_failed": Act.SIGN_IN_FAILED,
    "roles_changed": Act.RIGHTS_CHANGED,
    "superuser_changed": Act.RIGHTS_CHANGED,
    "key_made": Act.KEY_MADE,
    "key_revoked": Act.KEY_REVOKED,
    "keys_revoked": Act.KEY_REVOKED,
}


def record(event: str, *, user: User | None, by: User | None = None, **details: object) -> None:
    """Record that `event` happened to the account of `user`; `by` is who did it, the user themselves if None.

    Called in the transaction of the act. `details` hold no password, key or code.
    """
    actor = by or user
    log.info("%s: user=%s by=%s %s", event, user and user.pk, actor and actor.pk, details)
    act = _ACTS.get(event, Act.ACCOUNT_CHANGED)
    who = None if act == Act.SIGN_IN_FAILED else actor
    told: dict[str, Any] = {name: value for name, value in details.items() if name not in ("address", "session")}
    audit.record(act, about=user, user=who, event=event, **told)
