"""What a run started now would use: counted in the request while there are few labels, else by a worker."""

from dataclasses import asdict

from django.utils import timezone

from cataract.core import prepared
from cataract.core.broker.nudge import Task, nudge
from cataract.core.querysets import count_up_to
from review.labels.models import Label
from training.datasets.services import Preview, preview

AT_ONCE = 2000  # labels that are counted in the request
_NAME = "preview of a training run"


def last_preview(task: Task) -> tuple[Preview | None, prepared.Part | None]:
    """The preview; and, where there are many labels, when a worker counted it: `task` asks one to count again."""
    if not count_up_to(Label.objects.standing(), AT_ONCE).is_more:
        return preview(), None
    part = prepared.last_part(_NAME, lambda: nudge(task, _NAME))
    return (Preview(**part.content) if part.content else None), part


def prepare_preview(name: str) -> None:
    """Count now, and keep it under this name. Safe to run twice."""
    as_of = timezone.now()
    prepared.store_part(name, asdict(preview()), as_of=as_of)
