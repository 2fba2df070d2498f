"""The wire: ids in, nothing out. The bodies are in `worker`."""

from celery import shared_task

from training.comparison import worker as comparison_worker


@shared_task  # type: ignore[untyped-decorator]
def compare_releases(challenger_id: str) -> None:
    comparison_worker.compare_with_champion(challenger_id)
