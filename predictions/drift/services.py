"""How recent photos and answers differ from earlier ones, and a new beginning of what is watched."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cataract.ml.labels import Reason
from cataract.ml.statistics.drift import MINIMUM, Drift, compare
from cataract.ml.statistics.metrics import wilson
from cataract.ml.statistics.monitoring import FIRST, Windows
from predictions.answering.models import Prediction
from predictions.drift.errors import ReasonMissing, SegmentChanged
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.releases.models import Release
from predictions.results.wording import REASONS

_MAX_ROWS = 5000  # the newest of each period
_QUALITY = ("brightness", "contrast", "sharpness", "short_side")
_SCORES = ("fast_probability", "probability")


@dataclass(frozen=True)
class Checks:
    """Sure answers of the fast model that the accurate model checked, and how many of them it contradicted."""

    photos: int
    disagreed: int

    @property
    def share(self) -> float | None:
        return self.disagreed / self.photos if self.photos else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson 1927)."""
        return wilson(self.disagreed, self.photos)


def accurate_checks(*, since: datetime, until: datetime | None = None) -> Checks:
    """The checks of the release that serves now, of answers since then."""
    serving = Release.objects.champions().values("pk")
    found = Prediction.objects.checked_by_accurate().filter(release__in=serving, created_at__gte=since)
    if until is not None:
        found = found.filter(created_at__lt=until)
    return _checks(found.values_list("reasons", flat=True))


def accurate_checks_by_week(*, weeks: int) -> dict[date, Checks]:
    """The checks of all releases by the Monday of their week, the oldest first; weeks without a check are left out."""
    since = timezone.now() - timedelta(weeks=weeks)
    found: dict[date, list[list[str]]] = defaultdict(list)
    checked = Prediction.objects.checked_by_accurate().filter(created_at__gte=since).order_by("created_at")
    for created_at, reasons in checked.values_list("created_at", "reasons"):
        day = timezone.localdate(created_at)
        found[day - timedelta(days=day.weekday())].append(reasons)
    return {monday: _checks(rows) for monday, rows in found.items()}


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
        "accurate_checks": {
            "recent": _facts(accurate_checks(since=middle)),
            "reference": _facts(accurate_checks(since=start, until=middle)),
        },
    }


def restart_segment(*, segment: DriftSegment, user: User, reason: str) -> DriftCheck:
    """Take the newest photos of a segment as its reference from now on: what has changed there is wanted, or stays.

    Raises ReasonMissing, and SegmentChanged where a worker has counted meanwhile.
    """
    if not reason.strip():
        raise ReasonMissing
    state = DriftSegment.State
    windows = Windows(segment.windows.recent or segment.windows.reference)
    segment.windows = windows
    mine = DriftSegment.objects.filter(pk=segment.pk, version=segment.version)
    with transaction.atomic():
        changed = mine.update(
            reference=segment.reference,
            recent=[],
            fresh=0,
            state=state.COLLECTING if len(windows.reference) < FIRST else state.STABLE,
            since=None,
            confirmed_at=None,
            looked_at=None,
            version=segment.version + 1,
        )
        if not changed:
            raise SegmentChanged
        return DriftCheck.objects.create(
            segment=segment,
            release_id=segment.release_id,
            state=DriftCheck.State.RESTARTED,
            n_reference=len(windows.reference),
            by=user,
            reason=reason.strip(),
        )


def segments_for(user: Any) -> list[dict[str, Any]]:
    """What this user may see of the segments, as the API gives them: two queries."""
    segments = list(DriftSegment.objects.visible_to(user).named())
    newest = DriftCheck.objects.looks().newest_of(segments)
    return [
        {
            "kind": segment.kind,
            "site": None if segment.site is None else segment.site.name,
            "device": None if segment.device is None else segment.device.name,
            "release": segment.release_id,
            "state": segment.state,
            "since": segment.since,
            "confirmed_at": segment.confirmed_at,
            "looked_at": None if (check := newest.get(segment.pk)) is None else check.at,
            "n_reference": len(segment.reference),
            "n_recent": len(segment.recent),
            "measures": {} if check is None else check.measures,
            "estimated": {} if check is None else check.estimated,
        }
        for segment in segments
    ]


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


def _checks(reasons: Iterable[list[str]]) -> Checks:
    rows = list(reasons)
    return Checks(len(rows), sum(Reason.DISAGREEMENT in row for row in rows))


def _facts(checks: Checks) -> dict[str, Any]:
    low, high = checks.interval
    return {"photos": checks.photos, "disagreed": checks.disagreed, "share": checks.share, "low": low, "high": high}
