"""Switch the AI off and on again, everywhere or at one site, each with a reason."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import BadField, DomainError
from predictions.sites.models import Site
from predictions.stops.models import AiStop


class AlreadyStopped(DomainError):
    """The AI is off there already."""

    code, status = "already_stopped", 409


class AlreadyLifted(DomainError):
    """The AI is on again there."""

    code, status = "already_lifted", 409


def stop_ai(*, site: Site | None, reason: str, user: User) -> AiStop:
    """Switch the AI off at `site`, or everywhere (None): from the next photo on people alone answer.

    Raises BadField without a reason, AlreadyStopped where it is off.
    """
    stated = _stated(reason)
    try:
        with transaction.atomic():
            stop = AiStop.objects.create(site=site, reason=stated, stopped_by=user)
            columns = ("site_id", "reason", "stopped_by_id", "stopped_at")
            record(Act.AI_STOPPED, about=stop, user=user, columns=columns, site=stop.site_id)
    except IntegrityError:
        raise AlreadyStopped("The AI is switched off there already.") from None
    return stop


def lift_stop(*, stop: AiStop, reason: str, user: User) -> AiStop:
    """Switch the AI on again. What people alone answered meanwhile stays theirs.

    Raises BadField without a reason, AlreadyLifted where somebody else was first.
    """
    stated = _stated(reason)
    with transaction.atomic():
        standing = AiStop.objects.standing().filter(pk=stop.pk)
        if not standing.update(lifted_by=user, lifted_at=timezone.now(), lift_reason=stated):
            raise AlreadyLifted("The AI is switched on there already.")
        stop.refresh_from_db()
        record(
            Act.AI_RESUMED,
            about=stop,
            user=user,
            columns=("lifted_by_id", "lifted_at", "lift_reason"),
            site=stop.site_id,
        )
    return stop


def _stated(reason: str) -> str:
    if not reason.strip():
        raise BadField("reason", "Say why.")
    return reason.strip()[:500]
