"""Reads: what learned from some photos: datasets, runs, releases, and the releases that were trained from those."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Q, QuerySet

from predictions.consent.models import ConsentChange
from predictions.photos.models import EyeImage, Split
from predictions.releases.models import Release
from review.labels.models import Label
from training.datasets.models import Dataset, DatasetItem
from training.runs.models import TrainingRun

LEARNED, CALIBRATED, TESTED, TAUGHT = "fitted", "calibrated", "tested", "taught"
WORDS = {
    LEARNED: "fitted on them",
    CALIBRATED: "calibrated on them",
    TESTED: "measured on them",
    TAUGHT: "fitted on them, with labels by the accurate model (distillation)",
}
_ROLE_OF_SPLIT = {Split.TRAIN: LEARNED, Split.CALIBRATION: CALIBRATED, Split.TEST: TESTED}


@dataclass
class Use:
    """How one training run used the photos. roles: keys of WORDS, {role: number of photos}."""

    run: TrainingRun
    roles: dict[str, int] = field(default_factory=dict)

    @property
    def learned(self) -> bool:
        return LEARNED in self.roles or TAUGHT in self.roles

    @property
    def words(self) -> str:
        """ "3 photos: fitted on them"; one phrase per role."""
        parts = [f"{count} photo{'' if count == 1 else 's'}: {WORDS[role]}" for role, count in self.roles.items()]
        return "; ".join(parts) or "none: they were gone before it started"


@dataclass
class Lineage:
    """What learned from some photos.

    datasets: (dataset, number of the photos in it). learned: releases whose models were fitted on a photo. descendants:
    releases trained from one of those, whose models carry on its weights. measured: releases that met the photos in
    calibration or in the test only.
    """

    datasets: list[tuple[Dataset, int]]
    uses: list[Use]
    learned: list[Release]
    descendants: list[Release]
    measured: list[Release]

    @property
    def tainted(self) -> set[str]:
        """The ids of all releases with a trace of the photos in their models."""
        return {release.pk for release in (*self.learned, *self.descendants)}


def lineage_of_photos(photos: QuerySet[EyeImage]) -> Lineage:
    """What learned from these photos, tombstones included."""
    return _lineage(DatasetItem.objects.filter(image__in=photos), photos)


def lineage_of_reader(reader: Any) -> Lineage:
    """What learned from labels that rest on a reading of this reader, retracted ones included."""
    return _lineage(DatasetItem.objects.filter(label__readings__reader=reader).distinct(), EyeImage.objects.none())


def _lineage(items: QuerySet[DatasetItem], photos: QuerySet[EyeImage]) -> Lineage:
    rows = list(items.select_related("dataset", "image"))
    by_dataset: dict[str, list[DatasetItem]] = {}
    for row in rows:
        by_dataset.setdefault(row.dataset_id, []).append(row)
    gone = _gone_at([row.image for row in rows])
    runs = TrainingRun.objects.filter(started_at__isnull=False).select_related("dataset", "release", "base_release")
    uses = {run.pk: _use(run, by_dataset[run.dataset_id], gone) for run in runs.filter(dataset__in=by_dataset)}
    for run in runs.filter(parameters__has_key="distillation"):
        taught = _taught(run, photos)
        if taught:
            uses.setdefault(run.pk, Use(run)).roles[TAUGHT] = taught
    ordered = sorted(uses.values(), key=lambda use: use.run.created_at, reverse=True)
    learned = _releases(use for use in ordered if use.learned)
    descendants = _descendants(learned)
    tainted = {release.pk for release in (*learned, *descendants)}
    measured = [release for release in _releases(use for use in ordered if use.roles) if release.pk not in tainted]
    datasets = [(items[0].dataset, len({item.image_id for item in items})) for items in by_dataset.values()]
    return Lineage(
        datasets=sorted(datasets, key=lambda pair: pair[0].created_at, reverse=True),
        uses=ordered,
        learned=learned,
        descendants=descendants,
        measured=measured,
    )


def _use(run: TrainingRun, items: list[DatasetItem], gone: dict[UUID, datetime]) -> Use:
    """A run reads the rows of its dataset when it starts: photos that were gone by then are left out."""
    use = Use(run)
    for item in items:
        left_at = gone.get(item.image_id)
        if left_at is None or run.started_at is None or left_at > run.started_at:
            role = _ROLE_OF_SPLIT[Split(item.split)]
            use.roles[role] = use.roles.get(role, 0) + 1
    return use


def _gone_at(images: list[EyeImage]) -> dict[UUID, datetime]:
    """Since when these photos have not been allowed to train; only those that are not allowed now."""
    ids = {image.pk for image in images if not image.may_train}
    withdrawn = ConsentChange.objects.filter(image__in=ids, after=False).values_list("image").annotate(Max("at"))
    gone = dict(withdrawn)
    for image in images:
        if image.removed_at is not None:
            gone[image.pk] = min(gone.get(image.pk, image.removed_at), image.removed_at)
    return gone


def _taught(run: TrainingRun, photos: QuerySet[EyeImage]) -> int:
    """How many of the photos a distillation used: of the training split, without a label in their cluster by then."""
    labelled = Label.objects.filter(created_at__lte=run.created_at).values("image__cluster")
    there = photos.filter(created_at__lte=run.created_at, split=Split.TRAIN, compared_at__isnull=False)
    there = there.exclude(cluster__in=labelled)
    never = Q(status=EyeImage.Status.KEPT, may_train=False, consent_changes__isnull=True)  # never may have trained
    return there.exclude(never).distinct().count()


def _releases(uses: Any) -> list[Release]:
    found = {use.run.release_id: use.run.release for use in uses if use.run.release is not None}
    return list(found.values())


def _descendants(releases: list[Release]) -> list[Release]:
    """The releases that were trained from these, and from those, and so on."""
    known = {release.pk for release in releases}
    found: dict[str, Release] = {}
    edge = set(known)
    while edge:
        runs = TrainingRun.objects.filter(base_release__in=edge, release__isnull=False).select_related("release")
        new = {run.release.pk: run.release for run in runs if run.release is not None}
        edge = new.keys() - known
        known |= edge
        found |= {pk: new[pk] for pk in edge}
    return list(found.values())
