"""The wire: ids in, nothing out. The bodies are in `worker`."""

from celery import shared_task
from django.core.management import call_command

from training.runs import worker as runs_worker


@shared_task  # type: ignore[untyped-decorator]
def run_training(run_id: str) -> None:
    runs_worker.run(run_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    runs_worker.sweep(publish=lambda run_id: run_training.apply_async((run_id,), expires=60))


@shared_task  # type: ignore[untyped-decorator]
def check_policy() -> None:
    call_command("train_if_due")  # by name: what it does stands above this module
