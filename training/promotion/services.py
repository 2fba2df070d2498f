"""Promote a release if the change-control plan allows it, with one person or two, and roll back.

The plan is checked here; `predictions.releases.services` then changes the champion.
"""

from collections.abc import Mapping

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from predictions.releases.models import Promotion, Release
from predictions.releases.services import make_champion, restore_previous_champion
from training.comparison.promotable import MIN_REASON, PromotionRefused, check_promotable
from training.comparison.services import note_flips
from training.promotion.models import PromotionRequest


def promote(
    *,
    user: User | None,
    release: Release,
    reason: str,
    acknowledge_too_few: bool = False,
    causes: Mapping[str, str] | None = None,
) -> Promotion | PromotionRequest:
    """Make `release` the champion; with PROMOTION_NEEDS_TWO, store a request that another admin confirms.

    user: None for the command line, which cannot be one of two people. causes: {image id: FlipCause.Cause}, stored
    first, for photos that turn from right to wrong.
    Raises PromotionRefused with every reason in words, and what `make_champion` raises.
    """
    if settings.PROMOTION_NEEDS_TWO and user is None:
        raise PromotionRefused(
            "Two people promote here: request the promotion in the admin or by API, and another admin confirms it."
        )
    note_flips(user=user, release=release, causes=causes or {})
    check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
    if settings.PROMOTION_NEEDS_TWO and user is not None:
        return _request(user, release, reason.strip(), acknowledge_too_few)
    return make_champion(release=release, user=user, reason=reason.strip())


def confirm_promotion(*, user: User, request: PromotionRequest) -> Promotion:
    """Promote the release of another admin's request, if the plan still allows it.

    Raises PromotionRefused, and what `make_champion` raises; the request then stays open.
    """
    if request.requested_by_id == user.pk:
        raise PromotionRefused("You requested this promotion yourself: another admin must confirm it.")
    release = request.release
    check_promotable(release=release, reason=request.reason, acknowledge_too_few=request.acknowledge_too_few)
    reason = f"{request.reason} (Requested by {request.requested_by}, confirmed by {user}.)"
    with transaction.atomic():
        _decide(request, user)
        promotion = make_champion(release=release, user=user, reason=reason)
        PromotionRequest.objects.filter(pk=request.pk).update(promotion=promotion)
    return promotion


def decline_promotion(*, user: User, request: PromotionRequest) -> None:
    """Close a request without promoting; its author may do so too. Raises PromotionRefused."""
    with transaction.atomic():
        _decide(request, user)
        record(Act.PROMOTION_ASKED, about=request.release, user=user, declined=str(request.pk))


def open_request(release: Release) -> PromotionRequest | None:
    """The request for this release that waits for another admin."""
    return release.promotion_requests.select_related("requested_by").filter(decided_at__isnull=True).first()


def rollback(*, user: User | None, reason: str) -> Promotion:
    """Make the previous champion serve again; one person is enough.

    Raises PromotionRefused without a reason, and what `restore_previous_champion` raises.
    """
    if len(reason.strip()) < MIN_REASON:
        raise PromotionRefused(f"State the reason for the rollback in at least {MIN_REASON} characters.")
    return restore_previous_champion(user=user, reason=reason.strip())


def _request(user: User, release: Release, reason: str, acknowledge_too_few: bool) -> PromotionRequest:
    try:
        with transaction.atomic():
            request = PromotionRequest.objects.create(
                release=release, reason=reason, acknowledge_too_few=acknowledge_too_few, requested_by=user
            )
            kept = ("release_id", "reason", "acknowledge_too_few", "requested_by_id", "requested_at")
            record(Act.PROMOTION_ASKED, about=release, user=user, rows=[request], columns=kept)
            return request
    except IntegrityError:
        raise PromotionRefused(
            "This promotion has already been requested: another admin must confirm or decline it."
        ) from None


def _decide(request: PromotionRequest, user: User) -> None:
    still_open = PromotionRequest.objects.filter(pk=request.pk, decided_at__isnull=True)
    if not still_open.update(decided_by=user, decided_at=timezone.now()):
        raise PromotionRefused("Another admin has already decided on this request.")
