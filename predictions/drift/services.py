"""How recent photos and answers differ from earlier ones."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from cataract.ml.statistics.drift import MINIMUM, Drift, compare
from predictions.answering.models import Prediction
from predictions.releases.models import Release
from predictions.results.wording import REASONS

_MAX_ROWS = 5000  # the newest of each period
_QUALITY = ("brightness", "contrast", "sharpness", "short_side")
_SCORES = ("fast_probability", "probability")


def recent_drift(*, days: int = 7, reference_days: int = 90) -> dict[str, Any]:
    """Compare the last `days` with the `reference_days` before them.

    Quality measures compare all photos; scores only those of the current champion, because scores of different releases
    are not comparable. `minimum` is the sample size below which there is no verdict.
    """
    now = timezone.now()
    middle = now - timedelta(days=days)
    start = middle - timedelta(days=reference_days)
    serving = Release.objects.champions().values_list("pk", flat=True).first()
    old, new = _rows(start, middle), _rows(middle, now + timedelta(seconds=1))
    measures = {name: _measure(old, new, name) for name in _QUALITY}
    old_own, new_own = ([row for row in rows if row["release"] == serving] for rows in (old, new))
    measures |= {name: _measure(old_own, new_own, name) for name in _SCORES}
    return {
        "recent": {"since": middle, "until": now, "photos": len(new)},
        "reference": {"since": start, "until": middle, "photos": len(old)},
        "release": serving,
        "minimum": MINIMUM,
        "measures": {name: vars(found) for name, found in measures.items()},
        "shares": {"recent": _shares(new), "reference": _shares(old)},
        "reasons": {"recent": _reason_shares(new), "reference": _reason_shares(old)},
    }


def _rows(since: datetime, until: datetime) -> list[dict[str, Any]]:
    found = Prediction.objects.filter(
        status=Prediction.Status.DONE, created_at__gte=since, created_at__lt=until
    ).order_by("-created_at")
    values = found.values_list("image__quality", "release_id", "decision", "reasons", *_SCORES)
    names = ("quality", "release", "decision", "reasons", *_SCORES)
    return [dict(zip(names, row, strict=True)) for row in values[:_MAX_ROWS]]


def _measure(old: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]], name: str) -> Drift:
    def numbers(rows: Iterable[dict[str, Any]]) -> list[float]:
        found = (row["quality"].get(name) if name in _QUALITY else row[name] for row in rows)
        return [float(value) for value in found if isinstance(value, int | float)]

    return compare(numbers(old), numbers(new))


def _shares(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """The share of each decision; None where there are no photos at all."""
    return {
        decision: sum(row["decision"] == decision for row in rows) / len(rows) if rows else None
        for decision in Prediction.Decision.values
    }


def _reason_shares(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """The share of photos that clinicians read for each reason; a photo may have several."""
    return {reason: sum(reason in row["reasons"] for row in rows) / len(rows) if rows else None for reason in REASONS}
