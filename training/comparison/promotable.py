"""Whether the change-control plan lets a release serve: what promotions and live tests ask first."""

from cataract.core.errors import DomainError
from predictions.releases.models import Release
from training.change_control.rules import rules
from training.comparison.models import Comparison
from training.datasets.models import Dataset

MIN_REASON = 10


class PromotionRefused(DomainError):
    """The change-control plan or a missing statement forbids it; the message says what to do."""

    code, status = "promotion_refused", 422


def check_promotable(*, release: Release, reason: str, acknowledge_too_few: bool) -> None:
    """Raises PromotionRefused with every reason why the change-control plan forbids `release` to serve."""
    refusals = _refusals(release, reason, Comparison.objects.standing(release), acknowledge_too_few)
    if refusals:
        raise PromotionRefused(" ".join(refusals))


def needs_acknowledgement(release: Release) -> bool:
    """Whether the plan lets `release` serve only after someone acknowledges that there are too few photos."""
    if not Release.objects.champions().exists():
        return False
    comparison = Comparison.objects.standing(release)
    return comparison.verdict == Comparison.Verdict.TOO_FEW if comparison else not Dataset.objects.exists()


def _refusals(release: Release, reason: str, comparison: Comparison | None, acknowledged: bool) -> list[str]:
    if release.status not in (Release.Status.CHALLENGER, Release.Status.RETIRED):
        if release.status == Release.Status.REJECTED:
            return [f"Release {release.pk} was rejected and cannot be promoted: {release.rejection}"]
        return [f"Release {release.pk} is {release.status}: only a challenger or a retired release can be promoted."]
    refusals = []
    if len(reason.strip()) < MIN_REASON:
        refusals.append(f"State the reason for the promotion in at least {MIN_REASON} characters.")
    if not Release.objects.champions().exists():
        return refusals
    if comparison is None:
        if Dataset.objects.exists():
            return [*refusals, "It has not been compared with the current champion yet: compare them first."]
        if not acknowledged:
            refusals.append(
                "There is no frozen test set to compare it on: acknowledge that there are too few photos to judge it."
            )
        return refusals
    if comparison.report["rules"] != rules()["version"]:
        return [*refusals, "It was compared by an earlier version of the change-control plan: compare it again."]
    if comparison.verdict == Comparison.Verdict.FAIL:
        failed = [gate for gate in comparison.report["gates"] if gate["verdict"] == Comparison.Verdict.FAIL]
        failing = [f"{gate['id']} ({gate['reason']})" for gate in failed]
        refusals.append(f"The change-control plan refuses it: {'; '.join(failing)}.")
    if comparison.verdict == Comparison.Verdict.TOO_FEW and not acknowledged:
        open_ = [gate["reason"] for gate in comparison.report["gates"] if gate["verdict"] == Comparison.Verdict.TOO_FEW]
        refusals.append(
            "There are too few photos to judge it: acknowledge that, or label more photos first. Undecided: "
            f"{'; '.join(open_)}."
        )
    left = len(comparison.flips_without_cause())
    if left:
        photos = "1 photo that turns" if left == 1 else f"{left} photos that turn"
        refusals.append(f"{photos} from right to wrong must still be opened and given a cause.")
    return refusals
