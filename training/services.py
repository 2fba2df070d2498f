"""Writes of the last third of the loop: start, cancel and resume a run; compare, promote and roll back a release."""

import importlib.util
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from predictions import registry
from predictions.errors import DomainError
from predictions.models import Promotion, Release
from training import labelchecks, tasks
from training.datasets import freeze_dataset
from training.models import Comparison, Dataset, FlipCause, LabelCheck, TrainingRun

MIN_REASON = 10


class AlreadyRunning(DomainError):
    code, status = "already_running", 409


class NoBaseRelease(DomainError):
    code, status = "no_base_release", 409


class LightInstallation(DomainError):
    code, status = "light_installation", 409


class WrongStatus(DomainError):
    code, status = "wrong_status", 409


class PromotionRefused(DomainError):
    """The change-control plan, or the form of the request, does not allow it; the message says what to do."""

    code, status = "promotion_refused", 422


def start_training(
    *,
    user: User | None,
    kind: str = TrainingRun.Kind.BOTH,
    reason: str = "",
    parameters: Mapping[str, Any] | None = None,
    base: Release | None = None,
) -> TrainingRun:
    """Freeze the confirmed labels and queue one run on them.

    One run at a time trains each model, by a database constraint, unless TRAINING_PARALLEL lets several.
    base: the release whose encoder it starts from, the champion when not given. Raises AlreadyRunning, NoBaseRelease,
    LightInstallation, NotEnoughLabels.
    """
    if kind != TrainingRun.Kind.FAST and importlib.util.find_spec("torch") is None:
        raise LightInstallation(
            "This is a light installation: the accurate model cannot be trained here. Add the training set with "
            "`make install` (without LIGHT=1), or train the fast model only."
        )
    base = base or Release.objects.filter(status=Release.Status.CHAMPION).first()
    if base is None:
        raise NoBaseRelease(
            "There is no champion to start from. Run `manage.py install_starter`, or promote a release first."
        )
    if base.status == Release.Status.BASE and kind != TrainingRun.Kind.BOTH:
        raise NoBaseRelease(f"The models of {base.pk} know nothing yet: train both from it.")
    dataset = freeze_dataset(user=user)
    is_alone = _refuse_rivals(kind)
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                kind=kind,
                is_alone=is_alone,
                dataset=dataset,
                base_release=base,
                requested_by=user,
                reason=reason,
                parameters={**_promise(), **(parameters or {})},
            )
            _nudge(run)
    except IntegrityError:
        raise AlreadyRunning(_active_sentence(kind)) from None
    return run


def _promise() -> dict[str, float]:
    """What the thresholds of a release shall promise, by the settings of this installation."""
    return {"max_error": settings.AUTO_MAX_ERROR, "confidence": settings.AUTO_CONFIDENCE}


def cancel_run(*, run: TrainingRun) -> TrainingRun:
    """Cancel a run that waits at once, and ask a running one to stop (within seconds). Raises WrongStatus."""
    mine = TrainingRun.objects.filter(pk=run.pk)
    waiting = mine.in_status(TrainingRun.Status.QUEUED, TrainingRun.Status.INTERRUPTED)
    if not waiting.move(TrainingRun.Status.CANCELLED):
        running = mine.in_status(TrainingRun.Status.RUNNING)
        if not running.update(cancel_requested=True):
            run.refresh_from_db()
            raise WrongStatus(f"This run is {run.status}: only a queued, running or interrupted run can be cancelled.")
    run.refresh_from_db()
    return run


def resume_run(*, run: TrainingRun) -> TrainingRun:
    """Queue an interrupted run again, on the same dataset. Raises WrongStatus, AlreadyRunning."""
    mine = TrainingRun.objects.filter(pk=run.pk)
    try:
        with transaction.atomic():
            moved = mine.in_status(TrainingRun.Status.INTERRUPTED).exists() and mine.move(
                TrainingRun.Status.QUEUED, cancel_requested=False, is_alone=_refuse_rivals(run.kind)
            )
            if moved:
                _nudge(run)
    except IntegrityError:
        raise AlreadyRunning(_active_sentence(run.kind)) from None
    run.refresh_from_db()
    if not moved:
        raise WrongStatus(f"This run is {run.status}: only an interrupted run can be resumed.")
    return run


def check_labels(*, user: User | None) -> LabelCheck:
    """Ask a worker which labels are probably wrong. Raises CheckRefused."""
    check = labelchecks.start_check(user=user)
    transaction.on_commit(partial(tasks.check_labels.delay, str(check.pk)), robust=True)
    return check


def request_comparison(*, release: Release) -> None:
    """Ask a worker to compare `release` with the champion on the newest dataset. Raises WrongStatus."""
    champion = Release.objects.filter(status=Release.Status.CHAMPION).first()
    if champion is None or champion.pk == release.pk:
        raise WrongStatus("There is no other champion to compare this release with.")
    if not Dataset.objects.exists():
        raise WrongStatus("There is no frozen dataset yet: start a training run first, it freezes one.")
    transaction.on_commit(partial(tasks.compare_releases.delay, release.pk), robust=True)


def standing_comparison(release: Release) -> Comparison | None:
    """The newest comparison of `release` with the release that serves now."""
    return (
        Comparison.objects.filter(challenger=release, champion__status=Release.Status.CHAMPION)
        .select_related("champion", "dataset")
        .first()
    )


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
    Raises PromotionRefused with every reason in words, and what `predictions.registry.promote_release` raises.
    """
    if settings.PROMOTION_NEEDS_TWO:
        raise PromotionRefused(
            "Two people promote here: ask for it in the admin or by API, and another admin confirms."
        )
    note_flips(user=user, release=release, causes=causes or {})
    check_promotable(release=release, reason=reason, acknowledge_too_few=acknowledge_too_few)
    return registry.promote_release(release=release, user=user, reason=reason.strip())


def check_promotable(*, release: Release, reason: str, acknowledge_too_few: bool) -> None:
    """Raises PromotionRefused with every reason why the change-control plan does not allow `release` to serve."""
    refusals = _refusals(release, reason, standing_comparison(release), acknowledge_too_few)
    if refusals:
        raise PromotionRefused(" ".join(refusals))


def note_flips(*, user: User | None, release: Release, causes: Mapping[str, str]) -> None:
    """`note_flip` for each photo of the standing comparison, {image id: cause}."""
    comparison = standing_comparison(release)
    for image, cause in causes.items():
        note_flip(user=user, comparison=comparison, image=image, cause=cause)


def note_flip(*, user: User | None, comparison: Comparison | None, image: str, cause: str) -> None:
    """Tick one photo that turns from right to wrong: somebody opened it, and states why that is accepted.

    Another cause later takes the place of the first. Raises PromotionRefused for a photo that is no such flip.
    """
    if comparison is None or image not in right_to_wrong(comparison):
        raise PromotionRefused(f"Photo {image} does not turn from right to wrong: there is no cause to note.")
    if cause not in FlipCause.Cause.values:
        raise PromotionRefused(f"{cause!r} is no cause. Choose one of {', '.join(FlipCause.Cause.values)}.")
    FlipCause.objects.update_or_create(
        comparison=comparison,
        image_id=UUID(image),
        defaults={"cause": cause, "noted_by": user, "noted_at": timezone.now()},
    )


def rollback(*, user: User | None, reason: str) -> Promotion:
    """Make the champion before this one serve again. Raises PromotionRefused without a reason."""
    if len(reason.strip()) < MIN_REASON:
        raise PromotionRefused(f"State the reason for the rollback in at least {MIN_REASON} characters.")
    return registry.rollback(user=user, reason=reason.strip())


def right_to_wrong(comparison: Comparison) -> list[str]:
    """Ids of the photos that the champion gets right and the challenger wrong."""
    return [flip["image"] for flip in comparison.report.get("flips", []) if flip["kind"] == "right_to_wrong"]


def unticked(comparison: Comparison) -> list[str]:
    """Ids of the photos that turn from right to wrong and have no cause yet, in the order of the list."""
    ticked = {str(image) for image in comparison.causes.values_list("image_id", flat=True)}
    return [image for image in right_to_wrong(comparison) if image not in ticked]


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
                "There is no frozen test set to compare it on: acknowledge that there is too little to judge."
            )
        return refusals
    if comparison.verdict == Comparison.Verdict.FAIL:
        failing = [
            f"{gate['id']} ({gate['reason']})" for gate in comparison.report["gates"] if gate["verdict"] == "fail"
        ]
        refusals.append(f"The change-control plan refuses it: {'; '.join(failing)}.")
    if comparison.verdict == Comparison.Verdict.TOO_FEW and not acknowledged:
        refusals.append("There are too few photos to judge it: acknowledge that, or label more photos first.")
    still = len(unticked(comparison))
    if still:
        photos = "1 photo that turns" if still == 1 else f"{still} photos that turn"
        refusals.append(f"{photos} from right to wrong must still be opened and given a cause.")
    return refusals


def _nudge(run: TrainingRun) -> None:
    """Tell a worker. A broker that is away only delays it: the sweep publishes a queued run again."""
    transaction.on_commit(partial(tasks.run_training.delay, str(run.pk)), robust=True)


def _refuse_rivals(kind: str) -> bool:
    """Whether a run that is queued now has its models for itself. Raises AlreadyRunning when another one is at them.

    This finds the run to name; of two that look at once the database constraint refuses the second.
    """
    if settings.TRAINING_PARALLEL:
        return False
    if TrainingRun.objects.in_the_way_of(kind).exists():
        raise AlreadyRunning(_active_sentence(kind))
    return True


def _active_sentence(kind: str) -> str:
    active = ", ".join(
        f"{run.get_kind_display()}, {run.status}, {run.percent} %" for run in TrainingRun.objects.in_the_way_of(kind)
    )
    which = active or "it has just ended: try again"
    return f"Another training run is active ({which}). Wait for it or cancel it: one at a time trains each model."
