"""Folders of eye photos in memory, and which of the photos show one picture."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Pixels, at_most
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.labels import CLASSES
from cataract.ml.learn.starter.copies import join_copies
from cataract.ml.photos import duplicates, images
from cataract.ml.release.manifest import write_json
from cataract.ml.synthetic import render_eye

_SIDE = 256
_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
DRAWN = 160  # pairs of drawn eyes, four pairs as one original

OnProgress = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Collection:
    """All photos in memory, long side at most 256. first: how many of them, at the start, are of the first folder."""

    paths: list[Path]
    pixels: list[Pixels]
    hashes: list[list[str]]
    pupils: list[Pupil | None]
    y: NDArray[np.int64]
    first: int


def collect(folders: Sequence[Path], on_progress: OnProgress) -> Collection:
    """Read every photo below the folders; its label is the name of the folder it lies in."""
    paths, first = [], 0
    for number, folder in enumerate(folders):
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PHOTOS and p.parent.name in CLASSES)
        if {path.parent.name for path in found} != set(CLASSES):
            raise ValueError(f"{folder} must hold photos in folders named {' and '.join(CLASSES)} (at any depth).")
        paths += found
        first = len(found) if number == 0 else first
    pixels, hashes, pupils = [], [], []
    for index, path in enumerate(paths):
        photo = images.decode(path.read_bytes(), min_side=_SIDE)
        hashes.append(duplicates.dihedral_hashes(photo))
        pixels.append(at_most(photo, _SIDE))
        pupils.append(find_pupil(pixels[-1]))
        if index % 100 == 0:
            on_progress("reading", index / len(paths), f"photo {index + 1} of {len(paths)}")
    y = np.array([CLASSES.index(path.parent.name) for path in paths], dtype=np.int64)
    return Collection(paths, pixels, hashes, pupils, y, first)


def find_clusters(photos: Collection, parts: Path, on_progress: OnProgress) -> NDArray[np.int64]:
    """The cluster of each photo, over all folders: by perceptual hashes, then by local features. Kept in `parts`."""
    kept = parts / "clusters.json"
    names = [f"{path.parent.name}/{path.name}" for path in photos.paths]
    if kept.exists():
        stored = json.loads(kept.read_text(encoding="utf-8"))
        if stored["names"] == names:
            return np.array(stored["clusters"], dtype=np.int64)
    clusters = duplicates.Clusters(len(names))
    firsts = [hashes[0] for hashes in photos.hashes]
    for index, hashes in enumerate(photos.hashes):
        for other in duplicates.near(hashes, firsts[:index]):
            clusters.join(index, other)
    join_copies(photos.pixels, clusters, lambda done: on_progress("copies", done, "looking for copies of one original"))
    write_json(kept, {"names": names, "clusters": clusters.numbers()})
    return np.array(clusters.numbers(), dtype=np.int64)


def draw_eyes() -> tuple[list[Pixels], NDArray[np.int64], NDArray[np.int64]]:
    """Drawn eyes in pairs that differ in the lens only: where to look, and that skin and lids say nothing."""
    eyes, y = [], []
    for seed in range(DRAWN):
        opacity = 0.4 + 0.6 * (seed % 7) / 6
        eyes += [render_eye(1000 + seed, size=160), render_eye(1000 + seed, opacity=opacity, size=160)]
        y += [0, 1]
    return eyes, np.array(y, dtype=np.int64), np.repeat(np.arange(DRAWN), 2) // 4
