"""Both releases answer the frozen test photos; `gates` judges; the Comparison row keeps the report."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from cataract.ml import images
from cataract.ml.cascade import Cascade, Outcome
from cataract.ml.duplicates import NEAR, dihedral_hashes, nearest
from predictions import registry, storage
from predictions.models import Release
from training import gates
from training.datasets import test_rows
from training.models import Comparison, Dataset, DatasetItem

Say = Callable[[str, float, str], None]


def compare(*, challenger: Release, champion: Release, dataset: Dataset, on_progress: Say | None = None) -> Comparison:
    """Compare two releases on the test rows of `dataset`, and store it in place of an earlier comparison of the three.

    Raises ReleaseCorrupt when a release folder is not intact.
    """
    releases = {"champion": champion, "challenger": challenger}
    sides = {side: registry.load(release) for side, release in releases.items()}
    seen = {side: seen_hashes(registry.folder_of(release)) for side, release in releases.items()}
    photos = []
    rows = list(test_rows(dataset))
    for number, row in enumerate(rows):
        photos.append(_photo(row, sides, seen))
        if on_progress and (number % 10 == 0 or number == len(rows) - 1):
            on_progress("comparing", (number + 1) / len(rows), f"{number + 1} of {len(rows)} test photos")
    report = gates.judge(photos)
    comparison, _ = Comparison.objects.update_or_create(
        challenger=challenger,
        champion=champion,
        dataset=dataset,
        defaults={"verdict": report["verdict"], "report": report},
    )
    return comparison


def seen_hashes(folder: Path) -> list[str]:
    """Perceptual hashes of the photos that a release was fitted on; empty when it does not say."""
    path = folder / "seen.json"
    return list(json.loads(path.read_text(encoding="utf-8"))["hashes"]) if path.is_file() else []


def _photo(row: DatasetItem, sides: dict[str, Cascade], seen: dict[str, list[str]]) -> gates.Photo:
    pixels = images.decode(storage.read(row.image.stored_name))
    hashes = dihedral_hashes(pixels)
    return gates.Photo(
        image=str(row.image_id),
        cluster=row.cluster,
        truth=row.answer,
        champion=_answer(sides["champion"], pixels),
        challenger=_answer(sides["challenger"], pixels),
        groups=_groups(row),
        seen_by=tuple(side for side in gates.SIDES if _is_near(hashes, seen[side])),
    )


def _answer(cascade: Cascade, pixels: Any) -> gates.Answer:
    started = time.perf_counter()
    outcome: Outcome = cascade.predict([pixels], mode=settings.CASCADE_MODE)[0]
    milliseconds = (time.perf_counter() - started) * 1000
    return gates.Answer(outcome.decision, outcome.probability, outcome.needs_review, milliseconds)


def _groups(row: DatasetItem) -> dict[str, str]:
    """The subgroups that a photo is in. Unknown is a group of its own, never hidden."""
    image = row.image
    brightness = image.quality.get("brightness")
    band = (
        "unknown" if brightness is None else "dark" if brightness < 70 else "bright" if brightness > 180 else "medium"
    )
    return {
        "site": image.site or "unknown",
        "device": image.device or "unknown",
        "eye": image.eye or "unknown",
        "brightness": band,
    }


def _is_near(hashes: list[str], known: list[str]) -> bool:
    found = nearest(hashes, known)
    return found is not None and found[1] <= NEAR
