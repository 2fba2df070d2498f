"""Change the champion: install the starter, promote a release, roll back. Reject a challenger."""

from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.ml.release.manifest import ReleaseCorrupt, read_manifest
from predictions.releases.errors import AlreadyInstalled, PromotionConflict, RejectionRefused, refuse_damage
from predictions.releases.models import LiveTest, Promotion, Release
from predictions.releases.serving import load_verified
from predictions.releases.signals import release_promoted
from predictions.releases.store import register_release
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint


def install_starter() -> Release:
    """Make the shipped starter release the champion of an empty system.

    Raises AlreadyInstalled when there is a champion, DamagedRelease when the shipped folder is damaged or absent.
    """
    serving = Release.objects.champions().first()
    if serving is not None:
        raise AlreadyInstalled(f"Nothing to install: release {serving.pk} is serving.")
    with refuse_damage():
        release = register_release(folder=Path(settings.STARTER_DIR))
    make_champion(release=release, user=None, reason="The starter release, shipped with the program.")
    release.refresh_from_db()
    return release


def starter_on_offer() -> str:
    """The id of the shipped release where this installation does not have it; empty where it has, or has none at all.

    An installation never changes its champion by itself: an upgrade only offers the release that it ships.
    """
    with suppress(ReleaseCorrupt):
        shipped = read_manifest(Path(settings.STARTER_DIR)).id
        if Release.objects.exists() and not Release.objects.filter(pk=shipped).exists():
            return shipped
    return ""


def add_starter() -> Release:
    """Register the shipped release as a challenger, to be compared and promoted like any other. Raises DamagedRelease.

    An installation that has it already gets its row.
    """
    with refuse_damage():
        return register_release(folder=Path(settings.STARTER_DIR))


def make_champion(*, release: Release, user: User | None, reason: str, is_rollback: bool = False) -> Promotion:
    """Make `release` the champion, after its files and golden predictions have been checked again.

    Raises DamagedRelease, and PromotionConflict when the champion changed meanwhile or `release` may not serve. The
    old champion then keeps serving.
    """
    previous = Release.objects.champions().first()
    if previous is not None and previous.pk == release.pk:
        raise PromotionConflict(f"Release {release.pk} is already serving.")
    with refuse_damage():
        load_verified(release.pk, release.manifest_sha256).check_golden()
    try:
        with transaction.atomic():
            if previous is not None and not Release.objects.filter(pk=previous.pk).move(Release.Status.RETIRED):
                raise PromotionConflict("Another user changed the champion. Look again before promoting.")
            moved = Release.objects.filter(pk=release.pk).move(Release.Status.CHAMPION, promoted_at=timezone.now())
            if not moved:
                raise PromotionConflict(f"Release {release.pk} was rejected or is already serving.")
            LiveTest.objects.all().end(user=user, reason=f"Release {release.pk} became the champion.")
            release_promoted.send(sender=Release, release=release, previous=previous, user=user)
            data = {"release": release.pk, "previous": previous and previous.pk, "is_rollback": is_rollback}
            webhooks.record(WebhookEndpoint.Event.RELEASE_PROMOTED, data)
            promotion = Promotion.objects.create(
                release=release, previous=previous, promoted_by=user, reason=reason, is_rollback=is_rollback
            )
            kept = ("release_id", "previous_id", "promoted_by_id", "reason", "is_rollback", "created_at")
            act = Act.ROLLED_BACK if is_rollback else Act.PROMOTED
            record(act, about=release, user=user, rows=[promotion], columns=kept)
            return promotion
    except IntegrityError:  # the database allows one champion: another promotion came first
        raise PromotionConflict("Another user promoted a release. Look again before promoting.") from None


def reject_release(*, release: Release, user: User | None, reason: str) -> Release:
    """Reject a challenger for good, and end its live tests. Raises RejectionRefused."""
    reason = reason.strip()
    if not reason:
        raise RejectionRefused("State why the release is rejected.")
    with transaction.atomic():
        moved = Release.objects.filter(pk=release.pk).move(
            Release.Status.REJECTED, rejected_at=timezone.now(), rejected_by=user, rejection=reason
        )
        release.refresh_from_db()
        if not moved:
            raise RejectionRefused(f"Release {release.pk} is {release.status}: only a challenger can be rejected.")
        LiveTest.objects.filter(challenger=release).end(user=user, reason=f"Release {release.pk} was rejected.")
        record(Act.RELEASE_REJECTED, about=release, user=user, columns=("rejected_at", "rejected_by_id", "rejection"))
    return release


def restore_previous_champion(*, user: User | None, reason: str) -> Promotion:
    """Make the previous champion serve again. Raises PromotionConflict when there is none."""
    last = Promotion.objects.select_related("previous").filter(release__status=Release.Status.CHAMPION).first()
    if last is None or last.previous is None:
        raise PromotionConflict("There is no earlier champion to go back to.")
    return make_champion(release=last.previous, user=user, reason=reason, is_rollback=True)
