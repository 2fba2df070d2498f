"""Start and stop live tests: a challenger in shadow, or A/B for a share of the patients."""

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core.errors import DomainError
from predictions.releases import serving
from predictions.releases.models import LiveTest, Release
from training.comparison import services

MIN_PHOTOS, MAX_PHOTOS = 1, 20_000


class LiveTestRefused(DomainError):
    """A live test that may not start or has ended; the message says why and what to do."""

    code, status = "live_test_refused", 422


def start_live_test(
    *,
    user: User | None,
    kind: str,
    release: Release,
    reason: str,
    photos: int = 500,
    share: float | None = None,
    acknowledge_too_few: bool = False,
) -> LiveTest:
    """Try a challenger beside the champion on the photos that come in from now on.

    In shadow any intact challenger may be tried. A/B gives it patients (a share of at most a half), so the
    change-control plan must allow its promotion: compared, no failed gate, every flip ticked; where two people promote
    (PROMOTION_NEEDS_TWO), somebody else must have asked for that promotion.
    Raises LiveTestRefused, PromotionRefused, ReleaseCorrupt.
    """
    champion = Release.objects.filter(status=Release.Status.CHAMPION).first()
    if champion is None:
        raise LiveTestRefused("There is no champion to try it beside.")
    _check(release, kind, photos, share, reason)
    if kind == LiveTest.Kind.AB:
        services.check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
        _ask_for_two(user, release)
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
    except IntegrityError:
        raise LiveTestRefused("Another live test of this kind is running. Stop it first: one runs at a time.") from None
    return test


def stop_live_test(*, user: User | None, test: LiveTest, reason: str = "") -> LiveTest:
    """End a live test: the next photo of every patient is the champion's. Raises LiveTestRefused if it has ended."""
    if not LiveTest.objects.filter(pk=test.pk).end(user=user, reason=reason.strip() or "Stopped by hand."):
        test.refresh_from_db()
        raise LiveTestRefused(f"This live test has ended already: {test.end_reason}")
    test.refresh_from_db()
    return test


def _ask_for_two(user: User | None, release: Release) -> None:
    """Patients get its answers: as with a promotion, one person asks and another one acts."""
    if not settings.PROMOTION_NEEDS_TWO:
        return
    wanted = release.promotion_requests.filter(decided_at__isnull=True)
    if user is None or not wanted.exclude(requested_by=user).exists():
        raise LiveTestRefused(
            "Two people give a challenger patients here: another admin asks for its promotion, and you start the A/B "
            "test instead of confirming it."
        )


def _check(release: Release, kind: str, photos: int, share: float | None, reason: str) -> None:
    refusals = []
    if release.status not in (Release.Status.CHALLENGER, Release.Status.RETIRED):
        refusals.append(f"Release {release.pk} is {release.status}: only a challenger or a retired release is tried.")
    if not MIN_PHOTOS <= photos <= MAX_PHOTOS:
        refusals.append(f"State a number of photos from {MIN_PHOTOS} to {MAX_PHOTOS:,}.")
    if kind == LiveTest.Kind.AB and not (share is not None and 0 < share <= LiveTest.MAX_SHARE):
        refusals.append(f"State the share of patients for an A/B test: above 0, at most {LiveTest.MAX_SHARE:g}.")
    if len(reason.strip()) < services.MIN_REASON:
        refusals.append(f"State the reason in at least {services.MIN_REASON} characters.")
    if refusals:
        raise LiveTestRefused(" ".join(refusals))
