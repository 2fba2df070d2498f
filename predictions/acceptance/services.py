"""Accept or withdraw a side of a release at a site: by evidence, or by an admin's hand with a reason."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import BadField, DomainError
from predictions.acceptance.models import Acceptance, Scope
from predictions.releases.models import Release
from predictions.sites.models import Site


class NothingToDecide(DomainError):
    """The side is in that state already."""

    code, status = "nothing_to_decide", 409


def record_evidence(
    *, scope: Scope, side: str, release: Release, accepted: bool, numbers: dict[str, Any], reason: str
) -> Acceptance | None:
    """Accept or withdraw a side because the labels show it; None where another process or an admin was first."""
    with transaction.atomic():
        standing = _lock(scope, side, release)
        was_accepted = standing is not None and standing.accepted
        is_held = standing is not None and not standing.accepted and standing.basis == Acceptance.Basis.HAND
        if was_accepted == accepted or (accepted and is_held):
            return None
        return _write(
            scope, side, release, accepted=accepted, basis=Acceptance.Basis.EVIDENCE, numbers=numbers, reason=reason
        )


def decide_by_hand(
    *, scope: Scope, side: str, release: Release, accepted: bool, numbers: dict[str, Any], reason: str, user: User
) -> Acceptance:
    """Accept or withdraw a side whatever the labels show. A side withdrawn by hand stays so until `restart_count`.

    Raises BadField without a reason, NothingToDecide where nothing would change.
    """
    with transaction.atomic():
        standing = _lock(scope, side, release)
        if standing is not None and standing.accepted == accepted and standing.basis == Acceptance.Basis.HAND:
            words = "accepted" if accepted else "withdrawn"
            raise NothingToDecide(f"This side is {words} by hand already.")
        values: dict[str, Any] = {"accepted": accepted, "basis": Acceptance.Basis.HAND, "numbers": numbers}
        return _write(scope, side, release, **values, reason=_stated(reason), by=user)


def restart_count(*, scope: Scope, side: str, release: Release, reason: str, user: User) -> Acceptance:
    """Let the evidence decide again, with the photos that arrive from now on; until then people decide.

    Raises BadField without a reason, NothingToDecide unless the side was withdrawn by hand.
    """
    with transaction.atomic():
        standing = _lock(scope, side, release)
        if standing is None or standing.accepted or standing.basis != Acceptance.Basis.HAND:
            raise NothingToDecide("Only a side that was withdrawn by hand can be counted again.")
        values: dict[str, Any] = {"accepted": False, "basis": Acceptance.Basis.RESTART, "numbers": {}}
        return _write(scope, side, release, **values, reason=_stated(reason), by=user)


def _lock(scope: Scope, side: str, release: Release) -> Acceptance | None:
    """The standing row, read while no other process decides about this site. Call it in a transaction."""
    list(Site.objects.select_for_update().filter(pk=scope.site).values_list("pk", flat=True))
    standing = Acceptance.objects.standing(releases=[release.pk], sites=[scope.site])
    return standing.get((scope, side, release.pk))


def _stated(reason: str) -> str:
    if not reason.strip():
        raise BadField("reason", "Say why.")
    return reason.strip()[:500]


def _write(scope: Scope, side: str, release: Release, **values: Any) -> Acceptance:
    acceptance = Acceptance.objects.create(
        site_id=scope.site, device_id=scope.device, by_device=scope.by_device, side=side, release=release, **values
    )
    # A device that is merged into another one takes its rows with it.
    kept = () if scope.device else ("site_id", "side", "release_id", "accepted", "basis", "reason", "by_id", "at")
    record(Act.ACCEPTANCE_CHANGED, about=acceptance, user=acceptance.by, columns=kept, accepted=acceptance.accepted)
    return acceptance
