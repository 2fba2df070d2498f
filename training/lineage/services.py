"""Train again without photos or labels that may not be used any more."""

from django.contrib.auth.models import User

from cataract.core.errors import DomainError
from cataract.ml.learn.packages import has_torch
from predictions.releases.models import Release
from training.lineage.selectors import Lineage
from training.runs.models import TrainingRun
from training.runs.services import start_training


class StillTrains(DomainError):
    """The photos would be in the next dataset again."""

    code, status = "still_trains", 409

    def __init__(self) -> None:
        super().__init__("The models may still learn from them. Withdraw the consent, or delete them, first.")


class NoCleanBase(DomainError):
    code, status = "no_clean_base", 409

    def __init__(self) -> None:
        super().__init__(
            "Every release here has learned from them. Install the starter release, and train from that one."
        )


def retrain_without(*, lineage: Lineage, may_still_train: bool, reason: str, user: User) -> TrainingRun:
    """Start a training run that carries no trace of the photos: without them, from a release that never met them.

    Raises StillTrains, NoCleanBase and what `start_training` raises.
    """
    if may_still_train:
        raise StillTrains
    kind = TrainingRun.Kind.BOTH if has_torch() else TrainingRun.Kind.FAST
    return start_training(user=user, kind=kind, reason=reason, base=clean_base(lineage))


def clean_base(lineage: Lineage) -> Release:
    """The champion, or the nearest release before it that has not learned from the photos. Raises NoCleanBase."""
    release, passed = Release.objects.champions().first(), set[str]()
    while release is not None and release.pk in lineage.tainted:
        if release.pk in passed:
            raise NoCleanBase
        passed.add(release.pk)
        run = TrainingRun.objects.filter(release=release).select_related("base_release").order_by("created_at").first()
        release = None if run is None else run.base_release
    if release is None:
        raise NoCleanBase
    return release
