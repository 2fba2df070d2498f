"""A canary of the secret key: a lost or exchanged key is said in words, not found when nobody can sign in."""

from typing import Final, Literal

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.ops.installation.models import Installation

LOST: Final = (
    "SECRET_KEY (secret.key in the data folder) is not the one with which this installation works: API keys and second "
    "factors made before no longer open anything, and everybody must sign in again."
)
CURE: Final = (
    "Put the old key back: each backup holds it. Or set SECRET_KEY_FALLBACKS to the old one. If it is lost for good, "
    "run `manage.py setup --accept-new-secret`, and make new API keys and second factors."
)
State = Literal["known", "rotated", "lost", "unknown"]


def secret_state() -> State:
    """Whether SECRET_KEY is the noted one; `rotated`: the noted one is a fallback; `unknown`: none is noted."""
    noted = Installation.objects.values_list("secret_digest", flat=True).first()
    if noted is None:
        return "unknown"
    if constant_time_compare(noted, _digest(settings.SECRET_KEY)):
        return "known"
    is_rotated = any(constant_time_compare(noted, _digest(old)) for old in settings.SECRET_KEY_FALLBACKS)
    return "rotated" if is_rotated else "lost"


@transaction.atomic
def note_secret(*, accept_new: bool = False) -> State:
    """Note SECRET_KEY where none is noted or the noted one is a fallback; one that is lost only if told so.

    Returns what was found before.
    """
    state = secret_state()
    if state in ("unknown", "rotated") or (state == "lost" and accept_new):
        values = {"secret_digest": _digest(settings.SECRET_KEY), "noted_at": timezone.now()}
        Installation.objects.update_or_create(pk=1, defaults=values)
        if state != "unknown":
            record(Act.OPERATED, what="accepted another secret key", before=state)
    return state


def _digest(key: str) -> str:
    return salted_hmac("cataract.canary", "", secret=key, algorithm="sha256").hexdigest()
