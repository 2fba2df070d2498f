"""Promotion by two people, where PROMOTION_NEEDS_TWO asks for it: one admin requests, another confirms or declines."""

from collections.abc import Mapping

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from predictions import registry
from predictions.models import Promotion, Release
from training import services
from training.models import PromotionRequest
from training.services import PromotionRefused


def request_promotion(
    *,
    user: User,
    release: Release,
    reason: str,
    acknowledge_too_few: bool = False,
    causes: Mapping[str, str] | None = None,
) -> PromotionRequest:
    """Ask for a promotion that the change-control plan allows; it waits for another person. Raises PromotionRefused."""
    services.note_flips(user=user, release=release, causes=causes or {})
    services.check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
    try:
        with transaction.atomic():
            return PromotionRequest.objects.create(
                release=release, reason=reason.strip(), acknowledge_too_few=acknowledge_too_few, requested_by=user
            )
    except IntegrityError:
        raise PromotionRefused("Its promotion is asked for already: another admin confirms or declines it.") from None


def confirm_promotion(*, user: User, request: PromotionRequest) -> Promotion:
    """Promote what somebody else asked for, if the plan still allows it.

    Raises PromotionRefused, and what `predictions.registry.promote_release` raises; the request then stays open.
    """
    if request.requested_by_id == user.pk:
        raise PromotionRefused("You asked for this promotion yourself: another admin must confirm it.")
    release = request.release
    services.check_promotable(release=release, reason=request.reason, acknowledge_too_few=request.acknowledge_too_few)
    said = f"{request.reason} (Asked for by {request.requested_by}, confirmed by {user}.)"
    with transaction.atomic():
        _decide(request, user)
        promotion = registry.promote_release(release=release, user=user, reason=said)
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
