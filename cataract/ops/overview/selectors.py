"""The figures as pages show them: computed at once where there are few rows, else as a worker prepared them last."""

from collections.abc import Callable
from typing import Any, Final

from django.utils import timezone

from cataract.core import prepared
from cataract.core.querysets import count_up_to
from cataract.ops.overview import worker
from cataract.ops.overview.months import Month
from predictions.answering.models import Prediction
from review.cases.models import Reading

AT_ONCE: Final = 1000  # predictions, or readings, of which the request itself computes the figures
Content = dict[str, Any]


def overview(ask: Callable[[], object]) -> tuple[Content | None, prepared.Part | None]:
    """The content of the overview, None before the first; and the part that a worker prepared, if it did."""
    now = timezone.now()
    if _are_few():
        return worker.overview(now), None
    part = prepared.last_part(worker.OVERVIEW, ask)
    return part.content, part


def month(month: Month, ask: Callable[[], object]) -> tuple[Content | None, prepared.Part | None]:
    """The same of one month."""
    if _are_few():
        return worker.month_figures(month), None
    part = prepared.last_part(worker.month_part(month.name), ask)
    return part.content, part


def _are_few() -> bool:
    """Whether there is little to read at all. Both counts stop early."""
    sent = count_up_to(Prediction.objects.order_by("-created_at"), AT_ONCE)
    return not sent.is_more and not count_up_to(Reading.objects.order_by("-blind_at"), AT_ONCE).is_more
