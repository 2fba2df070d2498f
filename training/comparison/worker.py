"""Run two releases on the same photos, judge them by the release gates, and store the Comparison."""

import time
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils.dateparse import parse_datetime

from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import images
from cataract.ml.photos.duplicates import dihedral_hashes, is_near
from cataract.ml.release.seen import read_seen
from predictions.photos import storage
from predictions.photos.models import EyeImage, Split
from predictions.releases import serving, store
from predictions.releases.models import Release
from training.change_control import gates
from training.change_control.paired import SIDES, Output, Photo
from training.change_control.rules import rules
from training.comparison.models import Comparison
from training.datasets.models import Dataset
from training.datasets.selectors import test_rows, usable_labels


class _Row(NamedTuple):
    """One photo to compare on: a frozen row of a dataset, or a label confirmed since."""

    image: EyeImage
    truth: str
    cluster: int
    weight: float


def compare(*, challenger: Release, champion: Release, dataset: Dataset, reporter: Reporter = SILENT) -> Comparison:
    """Compare two releases on the test rows of `dataset` and on all labels confirmed since the champion was trained.

    The row replaces an earlier comparison of the same three. Raises ReleaseCorrupt when a release folder is damaged,
    Cancelled when the reporter asks to stop.
    """
    frozen = [_Row(row.image, row.answer, row.cluster, 1.0) for row in test_rows(dataset)]
    new = _rows_since(trained_at(champion))
    sides = {side: serving.load(release) for side, release in (("champion", champion), ("challenger", challenger))}
    seen = {side: read_seen(store.folder_of(r)) for side, r in (("champion", champion), ("challenger", challenger))}
    fitted = {"champion": _fitted(champion), "challenger": _fitted(challenger)}
    rows = list({row.image.pk: row for row in (*new, *frozen)}.values())
    photos: dict[Any, Photo] = {}
    for number, row in enumerate(rows):
        photos[row.image.pk] = _photo(row, sides, seen, fitted)
        reporter.progress("comparing", (number + 1) / len(rows), f"{number + 1} of {len(rows)} photos")
        reporter.check_stop()
    report = gates.judge(
        [photos[row.image.pk] for row in frozen],
        since=[replace(photos[row.image.pk], truth=row.truth, weight=row.weight) for row in new],
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
    return [_Row(label.image, label.answer, label.image.cluster_id, label.weight) for label in newest]


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


def _photo(row: _Row, sides: dict[str, Cascade], seen: dict[str, list[str]], fitted: dict[str, _Fitted]) -> Photo:
    pixels = images.decode(storage.read(row.image.stored_name))
    hashes = dihedral_hashes(pixels)
    return Photo(
        image=str(row.image.pk),
        cluster=row.cluster,
        truth=row.truth,
        champion=_output(sides["champion"], pixels),
        challenger=_output(sides["challenger"], pixels),
        groups=_groups(row.image),
        seen_by=tuple(side for side in SIDES if fitted[side].knows(row.image) or is_near(hashes, seen[side])),
    )


def _output(cascade: Cascade, pixels: Any) -> Output:
    # Processor time: wall-clock time would charge one of the two for whatever else the machine does.
    started = time.process_time()
    outcome: Outcome = cascade.predict([pixels], mode=settings.CASCADE_MODE)[0]
    milliseconds = (time.process_time() - started) * 1000
    return Output(outcome.decision, outcome.probability, outcome.needs_review, milliseconds)


def _groups(image: EyeImage) -> dict[str, str]:
    """The subgroups of a photo. "unknown" is a group of its own."""
    brightness = image.quality.get("brightness")
    band = (
        "unknown" if brightness is None else "dark" if brightness < 70 else "bright" if brightness > 180 else "medium"
    )
    return {
        "site": image.site.name,
        "device": str(image.device or "unknown"),
        "eye": image.eye or "unknown",
        "brightness": band,
    }


def compare_with_champion(challenger_id: str) -> None:
    """Compare a release with the champion on the newest dataset. Safe to repeat."""
    challenger = Release.objects.filter(pk=challenger_id).first()
    champion = Release.objects.champions().exclude(pk=challenger_id).first()
    dataset = Dataset.objects.first()
    if challenger and champion and dataset:
        compare(challenger=challenger, champion=champion, dataset=dataset)
