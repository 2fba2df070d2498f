"""Count what the labels of each site show, and accept or withdraw by it. Safe to run twice, at any time."""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Min, Model
from django.utils import timezone

from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import ReleaseCorrupt
from cataract.ml.statistics import sequential
from cataract.ml.statistics.sequential import Unit
from predictions.acceptance import rules, services
from predictions.acceptance.models import Acceptance, Scope
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving
from predictions.releases.models import LiveTest, Release
from predictions.sites.models import Site
from review.acceptance.evidence import Evidence, Photo, gather, units
from review.acceptance.models import Progress, Rescore
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.queue import services as queue_services

log = logging.getLogger(__name__)

_SCORING_SECONDS = 20.0
_COUNT_EVERY = timedelta(hours=1)


def judge_sites(*, seconds: float = _SCORING_SECONDS) -> None:
    """Judge every site for the releases that answer now; score photos for at most these seconds."""
    releases = answering_releases()
    Progress.objects.exclude(release__in=releases).delete()
    for release in releases:
        judge_release(release.pk, seconds=seconds)


def judge_if_changed(*, seconds: float = _SCORING_SECONDS) -> None:
    """As `judge_sites`, but only the sites where something is new since their last count, or an hour has passed."""
    releases, deadline = answering_releases(), time.monotonic() + seconds
    Progress.objects.exclude(release__in=releases).delete()
    for site in _sites_to_count([release.pk for release in releases]):
        for release in releases:
            _judge_site(site, release, deadline)


def _sites_to_count(releases: Sequence[str]) -> list[Site]:
    """The sites that were never counted for one of these releases, not in the last hour, or where anything is new."""
    hour_ago = timezone.now() - _COUNT_EVERY
    rows = Progress.objects.filter(counted_at__gt=hour_ago, to_score=0).order_by()
    counts = rows.values("site").annotate(last=Min("counted_at"), releases=Count("release", distinct=True))
    counted = {row["site"]: row["last"] for row in counts if row["releases"] == len(releases)}
    changed = _last_changes(min(counted.values(), default=hour_ago)) if counted else {}
    return [
        site
        for site in Site.objects.all()
        if site.pk not in counted or changed.get(site.pk, hour_ago) >= counted[site.pk]
    ]


def _last_changes(since: datetime) -> dict[int, datetime]:
    """When anything that a count reads was last written, of each site where it was since then; found by indexes."""
    written: list[tuple[type[Model], str, str]] = [
        (ReviewCase, "created_at", "image__site"),
        (Reading, "blind_at", "case__image__site"),
        (Label, "created_at", "image__site"),
        (Rescore, "created_at", "image__site"),
        (Acceptance, "at", "site"),
    ]
    found: dict[int, datetime] = {}
    for model, at, site in written:
        rows = model._base_manager.filter(**{f"{at}__gte": since}).order_by()
        for pk, last in rows.values_list(site).annotate(last=Max(at)):
            found[pk] = max(last, found.get(pk, last))
    return found


def judge_release(release_id: str, *, seconds: float = _SCORING_SECONDS) -> None:
    """Judge every site for this release; score photos for at most these seconds."""
    release, deadline = Release.objects.get(pk=release_id), time.monotonic() + seconds
    for site in Site.objects.all():
        _judge_site(site, release, deadline)


def _judge_site(site: Site, release: Release, deadline: float) -> None:
    as_of = timezone.now()  # what is written meanwhile is new for the next count
    evidence = gather(site, release)
    if evidence.to_score and _score(release, evidence.to_score, deadline):
        evidence = gather(site, release)
    _ask_again(evidence)
    judge(site, release, evidence, as_of=as_of)


def answering_releases() -> list[Release]:
    """The champion, and the challenger of a running A/B test."""
    tested = LiveTest.objects.running(LiveTest.Kind.AB).values("challenger")
    champions = Release.objects.champions()
    return list(champions) + list(Release.objects.filter(pk__in=tested).exclude(pk__in=champions.values("pk")))


def judge(site: Site, release: Release, evidence: Evidence, *, as_of: datetime) -> None:
    """Store how far each side is, and accept or withdraw where the evidence says so."""
    standing = Acceptance.objects.standing(releases=[release.pk], sites=[site.pk])
    rows = []
    for scope in _scopes(site):
        photos = [photo for photo in evidence.photos if not scope.by_device or photo.device == scope.device]
        for side in rules.SIDES:
            decided = standing.get((scope, side, release.pk))
            since = None if decided is None else _counts_since(decided)
            counted = [photo for photo in photos if since is None or photo.at > since]
            row = _progress(scope, side, release, counted, since)
            row.waiting, row.to_score, row.counted_at = evidence.waiting, len(evidence.to_score), as_of
            rows.append(row)
            _decide(row, release, units(counted, side), decided)
    with transaction.atomic():
        Progress.objects.filter(site=site, release=release).delete()
        Progress.objects.bulk_create(rows)


def _scopes(site: Site) -> list[Scope]:
    if not site.accepts_by_device:
        return [Scope(site.pk, None, False)]
    devices: Iterable[int] = site.devices.values_list("pk", flat=True)
    return [Scope(site.pk, device, True) for device in (*devices, None)]


def _counts_since(decided: Acceptance) -> datetime | None:
    """From when photos count: after an acceptance the newer ones watch over it, after a withdrawal they earn again."""
    is_held = not decided.accepted and decided.basis == Acceptance.Basis.HAND
    return None if is_held else decided.at


def _progress(scope: Scope, side: str, release: Release, photos: Sequence[Photo], since: datetime | None) -> Progress:
    found, alpha, limit = units(photos, side), rules.alpha(), rules.limit(side)
    missing = sequential.more_without_error(found, limit, alpha)
    return Progress(
        site_id=scope.site,
        device_id=scope.device,
        by_device=scope.by_device,
        side=side,
        release=release,
        photos=len(photos),
        waiting=0,
        n=len(found),
        errors=sum(unit.is_error for unit in found),
        bound=round(sequential.upper_bound(found, alpha), 4),
        limit=limit,
        confidence=settings.AUTO_CONFIDENCE,
        missing=None if missing is None else max(missing, rules.LEAST[side] - len(found)),
        since=since,
    )


def _decide(row: Progress, release: Release, found: Sequence[Unit], decided: Acceptance | None) -> None:
    is_accepted = decided is not None and decided.accepted
    is_broken = is_accepted and sequential.evidence_above(found, row.limit) >= rules.ALARM
    is_earned = not is_accepted and row.missing == 0
    if not (is_broken or is_earned):
        return
    made = services.record_evidence(
        scope=row.scope,
        side=row.side,
        release=release,
        accepted=not is_accepted,
        numbers=row.numbers,
        reason=row.found if is_earned else f"Since it was accepted: {row.found}",
    )
    if made is not None:
        log.info("%s (release %s): %s", made, release.pk, made.reason)


def _ask_again(evidence: Evidence) -> None:
    """Open a second, blind reading where a reader gave way to the AI, if acceptance decides who answers."""
    if rules.needs_acceptance() and evidence.to_settle:
        queue_services.recheck_labels(labels=Label.objects.filter(pk__in=evidence.to_settle).select_related("image"))


def _score(release: Release, images: Sequence[UUID], deadline: float) -> int:
    """Let the release score labelled photos that it did not answer; returns how many."""
    try:
        cascade = serving.load(release)
    except ReleaseCorrupt as error:
        log.error("Release %s cannot be judged: %s", release.pk, error)
        return 0
    scored = 0
    for image in EyeImage.objects.filter(pk__in=images).order_by("created_at"):
        if time.monotonic() > deadline:
            break
        row = Rescore(release=release, image=image)
        try:
            outcome = cascade.predict([decode(storage.read(image.stored_name))], mode=settings.CASCADE_MODE)[0]
            row.answer = "" if outcome.needs_review else str(outcome.decision)
        except Exception as error:  # a photo that cannot be scored is left out, and not tried again
            log.exception("Photo %s cannot be scored", image.pk)
            row.error = f"{type(error).__name__}: {error}"[:1000]
        Rescore.objects.bulk_create([row], ignore_conflicts=True)
        scored += 1
    return scored
