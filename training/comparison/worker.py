"""Run two releases on the same photos, judge them by the release gates, and store the Comparison."""

import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils.dateparse import parse_datetime

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.encoding.cover import cover
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import images
from cataract.ml.photos.duplicates import dihedral_hashes, is_near
from cataract.ml.photos.quality import measure_quality
from cataract.ml.release.seen import read_seen
from predictions.photos import storage
from predictions.photos.models import EyeImage, Split
from predictions.releases import serving, store
from predictions.releases.models import Release
from review.labels.models import Label
from training.change_control import gates
from training.change_control.paired import SIDES, Output, Photo
from training.change_control.rules import rules
from training.change_control.shortcuts import EYE_COVERED, PUPIL_COVERED
from training.change_control.subgroups import brightness_band
from training.comparison.models import Comparison
from training.datasets.models import Dataset
from training.datasets.selectors import test_labels, usable_labels

STREAM_ALONE = "all labelled test photos of patients that are always read; each counts once"
ALL_LABELLED = "all labelled test photos; each counts for 1 / the probability with which it was read"

# How to cover a photo, with the reach of the disc in radii of the pupil.
_WAYS = {PUPIL_COVERED: 1.0, EYE_COVERED: 3.0}


class _Row(NamedTuple):
    """One photo to compare on, with its label of today."""

    image: EyeImage
    truth: str
    cluster: int
    weight: float


def compare(*, challenger: Release, champion: Release, dataset: Dataset, reporter: Reporter = SILENT) -> Comparison:
    """Compare two releases on all labelled test photos, and on all labels confirmed since the champion was trained.

    dataset: the newest one; a comparison of the same three is replaced. Raises ReleaseCorrupt when a release folder is
    damaged, Cancelled when the reporter asks to stop.
    """
    labels, is_stream = test_labels()
    test = [_row(label, 1.0 if is_stream else label.weight) for label in labels]
    new = _rows_since(trained_at(champion))
    sides = {side: serving.load(release) for side, release in (("champion", champion), ("challenger", challenger))}
    seen = {side: read_seen(store.folder_of(r)) for side, r in (("champion", champion), ("challenger", challenger))}
    fitted = {"champion": _fitted(champion), "challenger": _fitted(challenger)}
    tested = {row.image.pk for row in test}
    rows = list({row.image.pk: row for row in (*new, *test)}.values())
    photos: dict[Any, Photo] = {}
    covered = _Covered()
    for number, row in enumerate(rows):
        pixels = images.decode(storage.read(row.image.stored_name))
        photo = photos[row.image.pk] = _photo(row, pixels, sides, seen, fitted)
        if row.image.pk in tested and not photo.seen_by:
            covered.add(photo, pixels, sides)
        reporter.progress("comparing", (number + 1) / len(rows), f"{number + 1} of {len(rows)} photos")
        reporter.check_stop()
    report = gates.judge(
        [photos[row.image.pk] for row in test],
        since=[replace(photos[row.image.pk], truth=row.truth, weight=row.weight) for row in new],
        covered=covered.photos,
        source=STREAM_ALONE if is_stream else ALL_LABELLED,
    )
    comparison, _ = Comparison.objects.update_or_create(
        challenger=challenger,
        champion=champion,
        dataset=dataset,
        defaults={"verdict": report["verdict"], "report": report},
    )
    return comparison


def trained_at(release: Release) -> datetime:
    """When the dataset of a release was frozen; without one, when the release was made."""
    first_run = release.training_runs.order_by("created_at")
    frozen: datetime | None = first_run.values_list("dataset__created_at", flat=True).first()
    if frozen is not None:
        return frozen
    made = parse_datetime(str(release.manifest.get("created_at", "")))
    return min(made, release.created_at) if made else release.created_at


def _rows_since(start: datetime) -> list[_Row]:
    """The labels confirmed since `start`, newest first, at most as many as the plan allows."""
    newest = usable_labels().filter(created_at__gt=start).order_by("-created_at")[: rules()["since"]["max_photos"]]
    return [_row(label, label.weight) for label in newest]


def _row(label: Label, weight: float) -> _Row:
    return _Row(label.image, label.answer, label.image.cluster_id, weight)


class _Fitted(NamedTuple):
    """The photos that a release and its bases were fitted on in this installation, and their clusters as of today."""

    images: set[UUID]
    clusters: set[int]

    def knows(self, image: EyeImage) -> bool:
        """Whether `image` is a copy of one of them, even if that was found after the dataset was frozen."""
        is_leak = image.split == Split.TEST and image.cluster_id in self.clusters
        return is_leak or image.near_duplicate_of_id in self.images


def _fitted(release: Release) -> _Fitted:
    found = _Fitted(set(), set())
    known: set[str] = set()
    while release.pk not in known:
        known.add(release.pk)
        run = release.training_runs.select_related("dataset", "base_release").order_by("created_at").first()
        if run is None:
            break
        rows = run.dataset.items.exclude(split=Split.TEST).values_list("image", "image__cluster")
        for image, cluster in rows:
            found.images.add(image)
            found.clusters.add(cluster)
        release = run.base_release
    return found


class _Covered:
    """Test photos answered again with the lens hidden, as many of each class as the plan says.

    Only where the pupil is found for sure: a disc beside it would hide nothing.
    """

    def __init__(self) -> None:
        self.photos: dict[str, list[Photo]] = {way: [] for way in _WAYS}
        self._count: Counter[str] = Counter()

    def add(self, photo: Photo, pixels: Pixels, sides: dict[str, Cascade]) -> None:
        pupil = find_pupil(pixels)
        if pupil is None or not pupil.is_sure or self._count[photo.truth] >= rules()["shortcut"]["max_photos"] / 2:
            return
        self._count[photo.truth] += 1
        for way, reach in _WAYS.items():
            hidden = cover(pixels, pupil, outside=False, reach=reach)
            outputs = {side: _output(cascade, hidden) for side, cascade in sides.items()}
            self.photos[way].append(
                replace(photo, weight=1.0, champion=outputs["champion"], challenger=outputs["challenger"])
            )


def _photo(
    row: _Row,
    pixels: Pixels,
    sides: dict[str, Cascade],
    seen: dict[str, list[str]],
    fitted: dict[str, _Fitted],
) -> Photo:
    hashes = dihedral_hashes(pixels)
    return Photo(
        image=str(row.image.pk),
        cluster=row.cluster,
        truth=row.truth,
        champion=_output(sides["champion"], pixels),
        challenger=_output(sides["challenger"], pixels),
        groups=_groups(row.image, pixels),
        seen_by=tuple(side for side in SIDES if fitted[side].knows(row.image) or is_near(hashes, seen[side])),
        weight=row.weight,
    )


def _output(cascade: Cascade, pixels: Pixels) -> Output:
    # Processor time: wall-clock time would charge one of the two for whatever else the machine does.
    started = time.process_time()
    outcome: Outcome = cascade.predict([pixels], mode=settings.CASCADE_MODE)[0]
    milliseconds = (time.process_time() - started) * 1000
    return Output(outcome.decision, outcome.probability, outcome.needs_review, milliseconds)


def _groups(image: EyeImage, pixels: Pixels) -> dict[str, str]:
    """The subgroups of a photo. "unknown" is a group of its own."""
    return {
        "site": image.site.name,
        "device": str(image.device or "unknown"),
        "eye": image.eye or "unknown",
        "brightness": brightness_band(measure_quality(pixels).brightness),
    }


def compare_with_champion(challenger_id: str) -> None:
    """Compare a release with the champion on the newest dataset. Safe to repeat."""
    challenger = Release.objects.filter(pk=challenger_id).first()
    champion = Release.objects.champions().exclude(pk=challenger_id).first()
    dataset = Dataset.objects.first()
    if challenger and champion and dataset:
        compare(challenger=challenger, champion=champion, dataset=dataset)
