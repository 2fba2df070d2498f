"""Start, cancel and resume training runs."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.errors import ADD_TRAINING_SET, DomainError, WrongStatus
from cataract.ml.learn.packages import has_torch
from predictions.releases.models import Release
from training.datasets.services import freeze_dataset
from training.runs import tasks as runs_tasks
from training.runs.models import TrainingRun
from training.runs.parameters import promise


class AlreadyRunning(DomainError):
    code, status = "already_running", 409


class NoBaseRelease(DomainError):
    code, status = "no_base_release", 409


class LightInstallation(DomainError):
    code, status = "light_installation", 409


def start_training(
    *,
    user: User | None,
    kind: str = TrainingRun.Kind.BOTH,
    reason: str = "",
    parameters: Mapping[str, Any] | None = None,
    base: Release | None = None,
) -> TrainingRun:
    """Freeze the confirmed labels and queue one run on them.

    One run at a time trains each model, by a database constraint, unless TRAINING_PARALLEL is on.
    base: the release whose encoder it starts from; the champion by default. What neither `parameters` nor a setting
    state of the promise is the base's. Raises AlreadyRunning, NoBaseRelease,
    LightInstallation, NotEnoughLabels.
    """
    if kind != TrainingRun.Kind.FAST and not has_torch():
        raise LightInstallation(
            f"This is a light installation: the accurate model cannot be trained here. {ADD_TRAINING_SET}, or train "
            "the fast model only."
        )
    base = base or Release.objects.champions().first()
    if base is None:
        raise NoBaseRelease(
            "There is no champion to start from. Run `manage.py install_starter`, or promote a release first."
        )
    if base.status == Release.Status.BASE and kind != TrainingRun.Kind.BOTH:
        raise NoBaseRelease(f"The models of {base.pk} are untrained: train both from it.")
    dataset = freeze_dataset(user=user)
    is_alone = _require_free_models(kind)
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                kind=kind,
                is_alone=is_alone,
                dataset=dataset,
                base_release=base,
                requested_by=user,
                reason=reason,
                parameters={**(parameters or {}), **promise(parameters or {}, _promised_by(base))},
            )
            record(Act.TRAINING_STARTED, about=run, user=user, dataset=dataset.pk, base=base.pk)
            nudge(runs_tasks.run_training, run.pk)
    except IntegrityError:
        raise AlreadyRunning(_active_sentence(kind)) from None
    return run


def _promised_by(base: Release) -> dict[str, Any]:
    """The policy whose promise a run from `base` keeps: an untrained base promises nothing, so the champion's."""
    champion = Release.objects.champions().first() if base.status == Release.Status.BASE else None
    return dict((champion or base).manifest.get("policy") or {})


@transaction.atomic
def cancel_run(*, run: TrainingRun) -> TrainingRun:
    """Cancel a waiting run at once; ask a running one to stop, which takes seconds. Raises WrongStatus."""
    rows = TrainingRun.objects.filter(pk=run.pk)
    waiting = rows.in_status(TrainingRun.Status.QUEUED, TrainingRun.Status.INTERRUPTED)
    if not waiting.move(TrainingRun.Status.CANCELLED):
        running = rows.in_status(TrainingRun.Status.RUNNING)
        if not running.update(cancel_requested=True):
            run.refresh_from_db()
            raise WrongStatus(f"This run is {run.status}: only a queued, running or interrupted run can be cancelled.")
    run.refresh_from_db()
    record(Act.TRAINING_STARTED, about=run, event="cancelled")
    return run


def resume_run(*, run: TrainingRun) -> TrainingRun:
    """Queue an interrupted run again, on the same dataset. Raises WrongStatus, AlreadyRunning."""
    rows = TrainingRun.objects.filter(pk=run.pk)
    try:
        with transaction.atomic():
            moved = rows.in_status(TrainingRun.Status.INTERRUPTED).exists() and rows.move(
                TrainingRun.Status.QUEUED, cancel_requested=False, is_alone=_require_free_models(run.kind)
            )
            if moved:
                record(Act.TRAINING_STARTED, about=run, event="resumed")
                nudge(runs_tasks.run_training, run.pk)
    except IntegrityError:
        raise AlreadyRunning(_active_sentence(run.kind)) from None
    run.refresh_from_db()
    if not moved:
        raise WrongStatus(f"This run is {run.status}: only an interrupted run can be resumed.")
    return run


def _require_free_models(kind: str) -> bool:
    """The `is_alone` of a run queued now. Raises AlreadyRunning, naming the run that trains one of its models.

    Of two that check at the same time, the database constraint refuses the second.
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
