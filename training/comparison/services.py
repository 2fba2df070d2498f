"""Compare a release with the champion, state the causes of its flips, and check whether the plan lets it serve."""

from collections.abc import Mapping
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from cataract.core.broker.nudge import nudge
from cataract.core.errors import DomainError, WrongStatus
from predictions.releases.models import Release
from training.comparison import tasks as comparison_tasks
from training.comparison.models import Comparison, FlipCause
from training.datasets.models import Dataset

MIN_REASON = 10


class PromotionRefused(DomainError):
    """The change-control plan or a missing statement forbids it; the message says what to do."""

    code, status = "promotion_refused", 422


def request_comparison(*, release: Release) -> None:
    """Ask a worker to compare `release` with the champion on the newest dataset. Raises WrongStatus."""
    champion = Release.objects.filter(status=Release.Status.CHAMPION).first()
    if champion is None or champion.pk == release.pk:
        raise WrongStatus("There is no other champion to compare this release with.")
    if not Dataset.objects.exists():
        raise WrongStatus("There is no frozen dataset yet. Start a training run first: it freezes one.")
    nudge(comparison_tasks.compare_releases, release.pk)


def standing_comparison(release: Release) -> Comparison | None:
    """The newest comparison of `release` with the current champion."""
    return (
        Comparison.objects.filter(challenger=release, champion__status=Release.Status.CHAMPION)
        .select_related("champion", "dataset")
        .first()
    )


def check_promotable(*, release: Release, reason: str, acknowledge_too_few: bool) -> None:
    """Raises PromotionRefused with every reason why the change-control plan forbids `release` to serve."""
    refusals = _refusals(release, reason, standing_comparison(release), acknowledge_too_few)
    if refusals:
        raise PromotionRefused(" ".join(refusals))


def note_flips(*, user: User | None, release: Release, causes: Mapping[str, str]) -> None:
    """`note_flip` for each photo of the standing comparison. causes: {image id: cause}."""
    comparison = standing_comparison(release)
    for image, cause in causes.items():
        note_flip(user=user, comparison=comparison, image=image, cause=cause)


def note_flip(*, user: User | None, comparison: Comparison | None, image: str, cause: str) -> None:
    """Store why it is accepted that this photo turns from right to wrong; a later cause replaces the first.

    Raises PromotionRefused for a photo that is no such flip, and for an unknown cause.
    """
    if comparison is None or image not in right_to_wrong(comparison):
        raise PromotionRefused(f"Photo {image} does not turn from right to wrong: it needs no cause.")
    if cause not in FlipCause.Cause.values:
        raise PromotionRefused(f"{cause!r} is not a cause. Choose one of {', '.join(FlipCause.Cause.values)}.")
    FlipCause.objects.update_or_create(
        comparison=comparison,
        image_id=UUID(image),
        defaults={"cause": cause, "noted_by": user, "noted_at": timezone.now()},
    )


def right_to_wrong(comparison: Comparison) -> list[str]:
    """Ids of the photos that the champion gets right and the challenger wrong."""
    return [flip["image"] for flip in comparison.report.get("flips", []) if flip["kind"] == "right_to_wrong"]


def flips_without_cause(comparison: Comparison) -> list[str]:
    """Ids of the photos that turn from right to wrong and have no cause yet, in the order of the report."""
    stated = {str(image) for image in comparison.causes.values_list("image_id", flat=True)}
    return [image for image in right_to_wrong(comparison) if image not in stated]


def _refusals(release: Release, reason: str, comparison: Comparison | None, acknowledged: bool) -> list[str]:
    if release.status not in (Release.Status.CHALLENGER, Release.Status.RETIRED):
        return [f"Release {release.pk} is {release.status}: only a challenger or a retired release can be promoted."]
    refusals = []
    if len(reason.strip()) < MIN_REASON:
        refusals.append(f"State the reason for the promotion in at least {MIN_REASON} characters.")
    if not Release.objects.filter(status=Release.Status.CHAMPION).exists():
        return refusals
    if comparison is None:
        if Dataset.objects.exists():
            return [*refusals, "It was not compared with the present champion yet: compare them first."]
        if not acknowledged:
            refusals.append(
                "There is no frozen test set to compare it on: acknowledge that there are too few photos to judge it."
            )
        return refusals
    if comparison.verdict == Comparison.Verdict.FAIL:
        failed = [gate for gate in comparison.report["gates"] if gate["verdict"] == Comparison.Verdict.FAIL]
        failing = [f"{gate['id']} ({gate['reason']})" for gate in failed]
        refusals.append(f"The change-control plan refuses it: {'; '.join(failing)}.")
    if comparison.verdict == Comparison.Verdict.TOO_FEW and not acknowledged:
        refusals.append("There are too few photos to judge it: acknowledge that, or label more photos first.")
    left = len(flips_without_cause(comparison))
    if left:
        photos = "1 photo that turns" if left == 1 else f"{left} photos that turn"
        refusals.append(f"{photos} from right to wrong must still be opened and given a cause.")
    return refusals
