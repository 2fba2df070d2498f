"""Measure on sources that nothing was fitted on: the same build, once for each group of sources that it leaves out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.labels import CATARACT, NORMAL
from cataract.ml.learn.build.calibrate import HeldOut, calibrate
from cataract.ml.learn.by_source import Judged, by_source
from cataract.ml.learn.reporter import Reporter
from cataract.ml.learn.starter.clean_set import PREVALENCE
from cataract.ml.learn.starter.collection import Collection
from cataract.ml.learn.starter.encoder import VIEWS
from cataract.ml.learn.starter.labels import NO_EYE
from cataract.ml.learn.starter.models import Models
from cataract.ml.photos import images
from cataract.ml.release.description import AccurateSpec, ReleaseDescription
from cataract.ml.release.manifest import draft_manifest, write_json

_GROUPS = 3


def groups(sources: Sequence[str]) -> list[tuple[str, ...]]:
    """The sources, dealt into the groups that are left out together: a training for each source takes too long."""
    return [tuple(sources[first::_GROUPS]) for first in range(min(_GROUPS, len(sources)))]


def pool(release: Models, others: Sequence[Models], note: str) -> HeldOut:
    """The scores of the clean set, then those of every source by the models that did not see it."""
    parts = [release.held_out_at_home(), *(models.held_out_elsewhere() for models in others)]
    return HeldOut(
        fast=np.concatenate([part.fast for part in parts]),
        accurate=np.concatenate([part.accurate for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        clusters=np.concatenate([part.clusters for part in parts]),
        note=note,
    )


def measure_left_out(
    photos: Collection, release: Models, others: Sequence[Models], limits: RiskLimits, reporter: Reporter
) -> dict[str, Any]:
    """The figures of `by_source` on every source, each by a whole cascade that saw nothing of it.

    Its curves and thresholds come from the clean set and from the sources that are left out elsewhere.
    """
    judged = [
        each
        for models in others
        for each in _judge(photos, models, pool(release, [m for m in others if m is not models], ""), limits, reporter)
    ]
    return by_source(judged)


def _judge(
    photos: Collection, models: Models, held: HeldOut, limits: RiskLimits, reporter: Reporter
) -> Iterator[Judged]:
    curves, policy = calibrate(held, limits, PREVALENCE)
    write_json(models.folder / "calibration.json", curves)
    write_json(models.folder / "policy.json", policy)
    description = ReleaseDescription(name="left-out", encoder=models.clean.spec, accurate=AccurateSpec(VIEWS), data={})
    cascade = Cascade.assemble(models.folder, draft_manifest(models.folder, description))
    rows = np.flatnonzero(np.isin(photos.sources, models.left_out))
    for number, row in enumerate(rows):
        outcome = cascade.predict([images.decode(photos.paths[row].read_bytes())])[0]
        yield Judged(str(photos.sources[row]), _label(photos, int(row)), outcome)
        if number % 50 == 0:
            names = ", ".join(models.left_out)
            reporter.progress("left out", number / len(rows), f"measuring on {names}, which nothing was fitted on")


def _label(photos: Collection, row: int) -> str:
    """The curated label of a photo."""
    if photos.y[row] == NO_EYE or photos.other[row] == 1:
        return photos.paths[row].parent.name
    return CATARACT if photos.y[row] == 1 else NORMAL
