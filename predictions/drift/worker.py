"""Count new answers into what is watched, and look where enough have come. Safe to run twice, at any time.

With nothing new it costs three small queries. A look reads the photos that it compares, about 1,200 rows by their ids,
and never all of them.
"""

import time
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from cataract.ml.statistics import monitoring, unlabelled
from cataract.ml.statistics.monitoring import EMBEDDING, EVERY, FIRST
from predictions.answering.models import Prediction
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.drift.samples import Photos, read_photos
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from predictions.sites.models import Device, Site

DAILY: Final = 100  # photos of a segment that are taken on one day; of busier days a random part
SETTLED: Final = timedelta(seconds=10)  # answers of transactions that are still open are counted in the next round
IDLE: Final = timedelta(days=60)  # what had no photo for so long takes no part of the budget
_SECONDS: Final = 20.0  # of one round, while older answers are still to be counted
_LIVE: Final = (EyeImage.Source.UPLOAD, EyeImage.Source.API)

Kind, State = DriftSegment.Kind, DriftSegment.State


class _OtherWorker(Exception):
    """Another worker has written meanwhile: leave the rest to it."""


def watch(*, seconds: float = _SECONDS) -> int:
    """Count what the champion has answered since the last round; return how many looks were taken."""
    deadline, looks = time.monotonic() + seconds, 0
    release = Release.objects.champions().first()
    if release is None:
        return 0
    everything = _everything(release)
    try:
        while rows := _new_answers(everything):
            segments = _count(everything, rows)
            for segment in segments:
                if segment.windows.is_due:
                    looks += _look(segment)
            everything = next(segment for segment in segments if segment.kind == Kind.ALL)
            if len(rows) < EVERY or time.monotonic() > deadline:
                break
    except _OtherWorker:
        pass
    return looks


def _everything(release: Release) -> DriftSegment:
    """The segment of all photos; a new champion starts all segments over."""
    since = release.promoted_at or release.created_at
    row, _ = DriftSegment.objects.get_or_create(kind=Kind.ALL, defaults={"release": release, "read_until": since})
    if row.release_id != release.pk:
        with transaction.atomic():
            mine = DriftSegment.objects.filter(pk=row.pk, version=row.version)
            if mine.update(read_until=since, release=release):
                DriftSegment.objects.update(
                    release=release, state=State.COLLECTING, since=None, confirmed_at=None, reference=[], recent=[],
                    fresh=0, looked_at=None, version=F("version") + 1,
                )  # fmt: skip
        row.refresh_from_db()
    return row


def _new_answers(everything: DriftSegment) -> list[dict[str, Any]]:
    """The next answers of the champion, oldest first: so few that no segment can skip a look."""
    found = Prediction.objects.filter(
        release=everything.release_id,
        status=Prediction.Status.DONE,
        done_at__gt=everything.read_until,
        done_at__lte=timezone.now() - SETTLED,
    )
    names = ("pk", "done_at", "image__source", "image__status", "image__site_id", "image__device_id")
    return list(found.order_by("done_at").values(*names, "image__cluster_id", "image__withdrawn_at")[:EVERY])


def _count(everything: DriftSegment, rows: list[dict[str, Any]]) -> list[DriftSegment]:
    """Add these answers to their segments; return the segments that were touched, that of all photos always."""
    segments = {(Kind.ALL.value, 0): everything}
    # One site alone, or one device alone, would be watched twice.
    has_sites = Site.objects.count() > 1
    devices = Device.objects.values("site").annotate(number=Count("pk")).filter(number__gt=1)
    with_devices = set(devices.values_list("site", flat=True))
    for row in rows:
        if row["image__source"] not in _LIVE or row["image__status"] != EyeImage.Status.KEPT:
            continue
        if row["image__withdrawn_at"] is not None:
            continue
        site, device = row["image__site_id"], row["image__device_id"]
        keys = [(Kind.ALL.value, 0)]
        keys += [(Kind.SITE.value, site)] if has_sites else []
        keys += [(Kind.DEVICE.value, device)] if device and site in with_devices else []
        for key in keys:
            if key not in segments:
                segments[key] = _segment(everything, row, *key)
            _add(segments[key], row)
    everything.read_until = rows[-1]["done_at"]
    with transaction.atomic():
        for segment in segments.values():
            _save(segment)
    return list(segments.values())


def _segment(everything: DriftSegment, row: dict[str, Any], kind: str, of: int) -> DriftSegment:
    where = {"device": of} if kind == Kind.DEVICE else {"site": of}
    found = DriftSegment.objects.filter(kind=kind, **where).select_related("site", "device").first()
    return found or DriftSegment.objects.create(
        kind=kind,
        site_id=row["image__site_id"],
        device_id=of if kind == Kind.DEVICE else None,
        release_id=everything.release_id,
    )


def _add(segment: DriftSegment, row: dict[str, Any]) -> None:
    """Count one photo, if it is drawn and the newest photos hold none of its cluster: photos of one eye are alike."""
    at: datetime = row["done_at"]
    segment.newest_at = at
    if not _is_drawn(segment, row["pk"], at):
        return
    windows, cluster = segment.windows, row["image__cluster_id"]
    if any(cluster == other for _, other in windows.recent):
        return
    windows.add((str(row["pk"]), cluster), may_grow=segment.state != State.DRIFTED)
    segment.windows = windows
    if segment.looked_at is None and windows.recent:
        segment.looked_at = at


def _is_drawn(segment: DriftSegment, pk: UUID, at: datetime) -> bool:
    """Whether this photo is among those that are taken on its day: all, or as many as on the day before by chance."""
    if segment.day != at.date():
        segment.rate = min(1.0, DAILY / segment.day_photos) if segment.day_photos else 1.0
        segment.day, segment.day_photos = at.date(), 0
    segment.day_photos += 1
    return pk.int / 2**128 < segment.rate


def _save(segment: DriftSegment) -> None:
    """Store a segment unless another worker has: raises _OtherWorker."""
    names = [field.attname for field in segment._meta.concrete_fields if field.name not in ("id", "version")]
    values = {name: getattr(segment, name) for name in names}
    mine = DriftSegment.objects.filter(pk=segment.pk, version=segment.version)
    if not mine.update(**values, version=segment.version + 1):
        raise _OtherWorker
    segment.version += 1


def _look(segment: DriftSegment) -> int:
    """Look at one segment, and keep what was found; return 1, or 0 where deleted photos have left too few."""
    encoder = segment.release.encoder
    windows = segment.windows
    windows.looked_at = 0
    old, new = read_photos(windows.reference, encoder=encoder), read_photos(windows.recent, encoder=encoder)
    windows.reference, windows.recent = old.members, new.members
    while len(windows.reference) < FIRST and windows.recent:
        windows.reference.append(windows.recent.pop(0))
    is_whole = len(old.members) == len(windows.reference) and len(new.members) >= EVERY
    segment.windows = windows
    if not is_whole:
        with transaction.atomic():
            _save(segment)
        return 0
    check = _check(segment, old, new)
    with transaction.atomic():
        _save(segment)
        check.save()
    return 1


def _check(segment: DriftSegment, old: Photos, new: Photos) -> DriftCheck:
    """What a look finds; sets the state of the segment."""
    at = new.answered_at[-1]
    waited = at - (segment.looked_at or at)
    alpha = monitoring.alpha_of(budget=budget_of(segment), days=waited / timedelta(days=1))
    seed = segment.version
    found = monitoring.look(old.sample, new.sample, alpha=alpha, seed=seed)
    measures = monitoring.as_json(found)
    if EMBEDDING in measures and (auc := monitoring.tell_apart(old.sample, new.sample, seed=seed)):
        measures[EMBEDDING] |= {"difference": round(auc.value, 4), "low": round(auc.low, 4), "high": round(auc.high, 4)}
    was_drifted = segment.state == State.DRIFTED
    state = State(monitoring.state_after("drifted" if was_drifted else "stable", found.state))
    if state == State.DRIFTED and not was_drifted:
        segment.since, segment.confirmed_at = new.answered_at[found.onset or 0], at
    elif state != State.DRIFTED:
        segment.since = segment.confirmed_at = None
    segment.state, segment.looked_at = state, at
    return DriftCheck(
        segment=segment,
        release_id=segment.release_id,
        at=at,
        state=state,
        n_reference=len(old.members),
        n_recent=len(new.members),
        alpha=alpha,
        measures=measures,
        estimated=unlabelled.estimate(new.probabilities, new.called, seed=seed),
    )


def budget_of(segment: DriftSegment) -> float:
    """The false alarms a year that a segment may give: all photos half of all, the others the other half together."""
    since = (segment.newest_at or timezone.now()) - IDLE
    others = DriftSegment.objects.exclude(kind=Kind.ALL).exclude(state=State.COLLECTING)
    count = others.filter(newest_at__gte=since).exclude(pk=segment.pk).count()
    budget: float = settings.DRIFT_FALSE_ALARMS
    if segment.kind == Kind.ALL:
        return budget / 2 if count else budget
    return budget / 2 / (count + 1)
