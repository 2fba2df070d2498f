"""Start and stop live tests: a challenger in shadow, or in an A/B test with a share of the patients."""

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import DomainError
from predictions.releases import serving
from predictions.releases.errors import refuse_damage
from predictions.releases.models import LiveTest, Release
from training.comparison.promotable import MIN_REASON, check_promotable

MIN_PHOTOS, MAX_PHOTOS, USUAL_PHOTOS = 1, 20_000, 500


class LiveTestRefused(DomainError):
    """The live test may not start, or has ended; the message says why and what to do."""

    code, status = "live_test_refused", 422


def start_live_test(
    *,
    user: User | None,
    kind: str,
    release: Release,
    reason: str,
    photos: int = USUAL_PHOTOS,
    share: float | None = None,
    acknowledge_too_few: bool = False,
) -> LiveTest:
    """Start a live test on the photos that arrive from now on.

    Any intact challenger may run in shadow. An A/B test gives it patients (at most half of them), so the change-control
    plan must allow its promotion: compared, no failed gate, a cause for every flip. With PROMOTION_NEEDS_TWO another
    admin must also have requested that promotion.
    Raises LiveTestRefused, PromotionRefused, DamagedRelease.
    """
    champion = Release.objects.champions().first()
    if champion is None:
        raise LiveTestRefused("There is no champion to compare it with.")
    _check(release, kind, photos, share, reason)
    if kind == LiveTest.Kind.AB:
        check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
        _require_request(user, release)
    with refuse_damage():
        serving.load(release).check_golden()
    try:
        with transaction.atomic():
            test = LiveTest.objects.create(
                kind=kind,
                challenger=release,
                champion=champion,
                share=share if kind == LiveTest.Kind.AB else None,
                photos=photos,
                reason=reason.strip(),
                started_by=user,
            )
            record(Act.LIVE_TEST, about=test, user=user, release=release.pk, how="started")
    except IntegrityError:
        raise LiveTestRefused(
            "A live test of this kind is running, and only one runs at a time. Stop it first."
        ) from None
    return test


def stop_live_test(*, user: User | None, test: LiveTest, reason: str = "") -> LiveTest:
    """End a live test: the champion answers every photo from now on. Raises LiveTestRefused if it has ended."""
    with transaction.atomic():
        ended = LiveTest.objects.filter(pk=test.pk).end(user=user, reason=reason.strip() or "Stopped by hand.")
        test.refresh_from_db()
        if not ended:
            raise LiveTestRefused(f"This live test has ended already: {test.end_reason}")
        record(Act.LIVE_TEST, about=test, user=user, release=test.challenger_id, how="ended")
    return test


def _require_request(user: User | None, release: Release) -> None:
    """Where two people promote: one admin requests the promotion, another starts the A/B test."""
    if not settings.PROMOTION_NEEDS_TWO:
        return
    requests = release.promotion_requests.filter(decided_at__isnull=True)
    if user is None or not requests.exclude(requested_by=user).exists():
        raise LiveTestRefused(
            "It takes two people to give a challenger patients here: another admin requests its promotion, and you "
            "start the A/B test instead of confirming it."
        )


def _check(release: Release, kind: str, photos: int, share: float | None, reason: str) -> None:
    refusals = []
    if release.status not in (Release.Status.CHALLENGER, Release.Status.RETIRED):
        refusals.append(
            f"Release {release.pk} is {release.status}: only a challenger or a retired release can be tested."
        )
    if not MIN_PHOTOS <= photos <= MAX_PHOTOS:
        refusals.append(f"State a number of photos from {MIN_PHOTOS} to {MAX_PHOTOS:,}.")
    if kind == LiveTest.Kind.AB and not (share is not None and 0 < share <= LiveTest.MAX_SHARE):
        refusals.append(f"State the share of patients for an A/B test: above 0 and at most {LiveTest.MAX_SHARE:g}.")
    if len(reason.strip()) < MIN_REASON:
        refusals.append(f"State the reason in at least {MIN_REASON} characters.")
    if refusals:
        raise LiveTestRefused(" ".join(refusals))
