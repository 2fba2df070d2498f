"""The safe repairs of the status page. Each is recorded: who did it, and to what."""

from django.contrib.auth.models import User
from django.db import transaction

from cataract.accounts import services as accounts
from cataract.core import prepared
from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.status import tasks
from cataract.status.worker import NAME as DOCTOR
from predictions.answering import services as answering
from predictions.answering.models import Prediction
from training.runs import services as runs
from training.runs.models import TrainingRun

MOST_PHOTOS = 500  # at a time


@transaction.atomic
def retry_failed_photos(*, by: User) -> int:
    """Queue failed photos again, oldest first; returns how many."""
    failed = Prediction.objects.of_kept_photos().in_status(Prediction.Status.FAILED).order_by("created_at")
    count = sum(answering.retry_prediction(prediction=row) for row in failed[:MOST_PHOTOS])
    record(Act.OPERATED, user=by, what="tried failed photos again", count=count)
    return count


@transaction.atomic
def resume_run(*, run: TrainingRun, by: User) -> TrainingRun:
    """Queue an interrupted run again. Raises WrongStatus, AlreadyRunning."""
    resumed = runs.resume_run(run=run)
    record(Act.OPERATED, about=run, user=by, what="resumed a training run")
    return resumed


def let_in(*, user: User, by: User) -> None:
    """Let somebody whose sign-ins failed try again at once."""
    accounts.forget_failures(user=user, by=by)


@transaction.atomic
def ask_doctor(*, by: User) -> bool:
    """Ask a worker to examine the system; False where one is at it already."""
    is_asked = prepared.take_turn(DOCTOR)
    if is_asked:
        record(Act.OPERATED, user=by, what="asked for an examination")
        nudge(tasks.examine_system, DOCTOR)
    return is_asked
