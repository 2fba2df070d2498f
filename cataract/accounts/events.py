"""The one place where what happens to accounts is recorded: sign-in, sign-out, passwords, rights, sessions, keys."""

import logging

from django.contrib.auth.models import User

log = logging.getLogger(__name__)


def record(event: str, *, user: User | None, by: User | None = None, **details: object) -> None:
    """Record that `event` happened to the account of `user`; `by` is who did it, the user themselves if None.

    Called in the transaction of the act. `details` hold no password, key or code.
    """
    actor = by or user
    log.info("%s: user=%s by=%s %s", event, user and user.pk, actor and actor.pk, details)
