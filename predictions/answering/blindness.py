"""Who may still read photos blind: such people get no list that is chosen by answers they have not been shown."""

from django.contrib.auth.models import User

from cataract.core.permissions import READS_BLIND


def reads_blind(user: User) -> bool:
    """Whether `user` reads photos. A row that is missing from "cataract" would tell them its answer unrecorded."""
    return any(user.has_perm(permission) for permission in READS_BLIND)
