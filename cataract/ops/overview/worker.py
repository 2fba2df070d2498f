"""Compute the overview and the figures of a month where there are too many rows for a request."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from cataract.core import prepared
from cataract.ops.overview.backlog import backlog
from cataract.ops.overview.figures import accuracy, figures_of, over_time
from cataract.ops.overview.months import Month, this_month

OVERVIEW: Final = "overview"
DAYS: Final = 28
MONTHS: Final = 6


def prepare_overview() -> None:
    """Prepare the content of the overview. Safe to run twice."""
    as_of = timezone.now()
    prepared.store_part(OVERVIEW, overview(as_of), as_of=as_of)


def prepare_month(name: str) -> None:
    """Prepare the figures of a month ("2026-10"). Safe to run twice."""
    as_of = timezone.now()
    prepared.store_part(month_part(name), month_figures(Month.of(name)), as_of=as_of)


def month_part(name: str) -> str:
    """The name under which the figures of a month are prepared."""
    return f"month {name}"


def overview(now: datetime) -> dict[str, Any]:
    """The last four weeks by day, six months by month, and the work that waits."""
    midnight = timezone.localtime(now, timezone.get_default_timezone()).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    found = figures_of(midnight - timedelta(days=DAYS - 1), now)
    since = this_month().back(MONTHS - 1).since
    return found | {"over_time": over_time(since, now), "backlog": backlog(found["cases"], found["readings"])}


def month_figures(month: Month) -> dict[str, Any]:
    """The figures of one calendar month."""
    return figures_of(month.since, month.until) | {"accuracy": accuracy(month.since, month.until)}
