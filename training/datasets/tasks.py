"""The wire: ids in, nothing out. The bodies are in `worker`."""

from celery import shared_task

from training.datasets import worker as datasets_worker


@shared_task  # type: ignore[untyped-decorator]
def check_labels(check_id: str) -> None:
    datasets_worker.run_check(check_id)
