"""Promotion by two people, where PROMOTION_NEEDS_TWO asks for it: one admin requests, another confirms or declines."""

from collections.abc import Mapping

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from predictions.releases import services
from predictions.releases.models import Promotion, Release
from training.comparison import services as comparison_services
from training.comparison.services import MIN_REASON, PromotionRefused, check_promotable, note_flips
from training.promotion.models import PromotionRequest


def request_promotion(
    *,
    user: User,
    release: Release,
    reason: str,
    acknowledge_too_few: bool = False,
    causes: Mapping[str, str] | None = None,
) -> PromotionRequest:
    """Ask for a promotion that the change-control plan allows; it waits for another person. Raises PromotionRefused."""
    comparison_services.note_flips(user=user, release=release, causes=causes or {})
    comparison_services.check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
    try:
        with transaction.atomic():
            return PromotionRequest.objects.create(
                release=release, reason=reason.strip(), acknowledge_too_few=acknowledge_too_few, requested_by=user
            )
    except IntegrityError:
        raise PromotionRefused("Its promotion is asked for already: another admin confirms or declines it.") from None


def confirm_promotion(*, user: User, request: PromotionRequest) -> Promotion:
    """Promote what somebody else asked for, if the plan still allows it.

    Raises PromotionRefused, and what `promote_release` raises; the request then stays open.
    """
    if request.requested_by_id == user.pk:
        raise PromotionRefused("You asked for this promotion yourself: another admin must confirm it.")
    release = request.release
    comparison_services.check_promotable(
        release=release, reason=request.reason, acknowledge_too_few=request.acknowledge_too_few
    )
    said = f"{request.reason} (Asked for by {request.requested_by}, confirmed by {user}.)"
    with transaction.atomic():
        _decide(request, user)
        promotion = services.promote_release(release=release, user=user, reason=said)
        PromotionRequest.objects.filter(pk=request.pk).update(promotion=promotion)
    return promotion


def decline_promotion(*, user: User, request: PromotionRequest) -> None:
    """End a request without promoting; whoever asked may take it back so, too. Raises PromotionRefused."""
    _decide(request, user)


def open_request(release: Release) -> PromotionRequest | None:
    """The request for this release that waits for another person."""
    return release.promotion_requests.select_related("requested_by").filter(decided_at__isnull=True).first()


def _decide(request: PromotionRequest, user: User) -> None:
    still_open = PromotionRequest.objects.filter(pk=request.pk, decided_at__isnull=True)
    if not still_open.update(decided_by=user, decided_at=timezone.now()):
        raise PromotionRefused("Somebody else has decided about this request meanwhile.")


def promote(
    *,
    user: User | None,
    release: Release,
    reason: str,
    acknowledge_too_few: bool = False,
    causes: Mapping[str, str] | None = None,
) -> Promotion:
    """Make `release` the champion if the change-control plan allows it.

    `causes`: {image id: FlipCause.Cause}, noted first, for photos that turn from right to wrong (see `note_flip`).
    Raises PromotionRefused with every reason in words, and what `predictions.releases.services.promote_release` raises.
    """
    if settings.PROMOTION_NEEDS_TWO:
        raise PromotionRefused(
            "Two people promote here: ask for it in the admin or by API, and another admin confirms."
        )
    note_flips(user=user, release=release, causes=causes or {})
    check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
    return services.promote_release(release=release, user=user, reason=reason.strip())


def rollback(*, user: User | None, reason: str) -> Promotion:
    """Make the champion before this one serve again. Raises PromotionRefused without a reason."""
    if len(reason.strip()) < MIN_REASON:
        raise PromotionRefused(f"State the reason for the rollback in at least {MIN_REASON} characters.")
    return services.rollback(user=user, reason=reason.strip())
