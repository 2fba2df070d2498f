"""Reads of the drift pages: what a segment shows over time, and its figures with and without labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from django.utils.timezone import localtime

from cataract.core import charts
from cataract.core.documents.document import number
from cataract.ml.statistics.intervals import Estimate
from cataract.ml.statistics.monitoring import EMBEDDING, EVERY, FIRST
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.drift.wording import NAMES, measure_words
from predictions.photos.models import EyeImage
from review.agreement import in_service
from review.agreement.estimates import Measure

LOOKS: Final = 120  # in a plot: the newest
EXAMPLES: Final = 6
LABELS_OF: Final = timedelta(days=90)


@dataclass(frozen=True)
class Row:
    """A segment in the list, with its newest look. missing: photos, at least, before the first one."""

    segment: DriftSegment
    check: DriftCheck | None
    words: str
    missing: int


def rows_for(user: User) -> list[Row]:
    """The segments that this user may see, all photos first: three queries."""
    segments = list(DriftSegment.objects.visible_to(user).named())
    newest = DriftCheck.objects.looks().newest_of(segments)
    return [row_of(segment, newest.get(segment.pk)) for segment in segments]


def row_of(segment: DriftSegment, check: DriftCheck | None) -> Row:
    is_drifted = segment.state == DriftSegment.State.DRIFTED  # an older look may say so of what was started over since
    found = [measure_words(name, check.measures[name]) for name in check.drifted] if check and is_drifted else []
    missing = max(FIRST - len(segment.reference), 0) + max(EVERY - len(segment.recent), 0)
    return Row(segment, check, "; ".join(found), missing)


def plots_of(segment: DriftSegment) -> list[charts.Figure]:
    """Every measure that the looks of the serving release compared, oldest look first."""
    newest = segment.checks.looks().filter(release=segment.release_id)[:LOOKS]
    looks = [(check.at, check.measures) for check in reversed(newest)]
    found = []
    for name, words in NAMES.items():
        own = [(at, row[name]) for at, row in looks if name in row and row[name]["difference"] is not None]
        if own:
            found.append(_figure(words.capitalize(), own, is_auc=name == EMBEDDING))
    return found


def _figure(title: str, looks: Sequence[tuple[datetime, dict[str, Any]]], *, is_auc: bool) -> charts.Figure:
    """One measure over the looks, and all its numbers, newest look first."""
    newest = looks[-1][1]
    text = (
        f"{'AUC ' if is_auc else ''}{newest['difference']:.2f} ({newest['low']:.2f} to {newest['high']:.2f}), "
        f"n {newest['n_recent']} with {newest['n_reference']}{': drifted' if newest['has_drifted'] else ''}"
    )
    svg = charts.timeline(title, [_moment(at, row) for at, row in looks], rest=0.5 if is_auc else 0.0)
    head = ["Look", "Then", "Now", "Difference", "95 % interval", "n", "p", "Limit of p"]
    return charts.Figure(title, svg, head, [_cells(at, row) for at, row in reversed(looks)], text)


def _cells(at: datetime, look: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{localtime(at):%Y-%m-%d %H:%M}",
        number(look["reference"]),
        number(look["recent"]),
        f"{look['difference']:.2f}",
        f"{look['low']:.2f} to {look['high']:.2f}",
        f"{look['n_recent']}, {look['n_reference']}",
        f"{look['p']:.2g}",
        f"{look['alpha']:.2g}",
    )


def _moment(at: datetime, row: dict[str, Any]) -> charts.Moment:
    return charts.Moment(f"{localtime(at):%Y-%m-%d}", row["difference"], row["low"], row["high"], row["has_drifted"])


def estimated(check: DriftCheck | None) -> list[Measure]:
    """What the probabilities say of the recent answers, without labels."""
    found = {} if check is None else check.estimated
    return [
        Measure(f"{name.capitalize()}, estimated", Estimate(row["value"], row["low"], row["high"], row["n"]))
        for name, row in found.items()
    ]


def realised(segment: DriftSegment) -> list[Measure]:
    """What the labels of the last ninety days say of the same release's answers to photos of this segment."""
    where = Q(prediction__release=segment.release_id)
    if segment.device_id is not None:
        where &= Q(image__device=segment.device_id)
    elif segment.site_id is not None:
        where &= Q(image__site=segment.site_id)
    return in_service.measures(in_service.rows(timezone.now() - LABELS_OF, where=where))


def examples(segment: DriftSegment, user: User) -> list[tuple[str, list[EyeImage]]]:
    """Photos then and now that this user may see, picked by nothing that the AI said of them."""
    seen = EyeImage.objects.visible_to(user).in_use()
    return [
        (title, list(seen.filter(predictions__in=_spread(members)).distinct().order_by("created_at")))
        for title, members in (("Then", segment.reference), ("Now", segment.recent))
    ]


def _spread(members: Iterable[Sequence[Any]]) -> list[UUID]:
    """A few members, evenly over time."""
    ids = [UUID(pk) for pk, _ in members]
    count = min(EXAMPLES, len(ids))
    return [ids[(2 * number + 1) * len(ids) // (2 * count)] for number in range(count)]
