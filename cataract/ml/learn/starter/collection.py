"""The public eye photos of a starter build in memory, and their clusters of copies."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Pixels, at_most
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.labels import CLASSES
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import duplicates, images
from cataract.ml.photos.copies import join_copies
from cataract.ml.release.manifest import write_json
from cataract.ml.synthetic import render_eye

_SIDE = 256
_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
DRAWN = 160  # pairs of synthetic eyes, four pairs as one original


@dataclass(frozen=True)
class Collection:
    """All photos in memory, long side at most 256; those of the first folder, the clean set, come first.

    clean: how many these are. hashes: of each photo, mirrored and turned ones included. y: (N,) 0/1.
    """

    paths: list[Path]
    pixels: list[Pixels]
    hashes: list[list[str]]
    pupils: list[Pupil | None]
    y: NDArray[np.int64]
    clean: int


def collect(folders: Sequence[Path], reporter: Reporter = SILENT) -> Collection:
    """Read every photo below the folders. Its label is the name of its folder.

    Raises ValueError for a folder without both classes.
    """
    paths, clean = [], 0
    for number, folder in enumerate(folders):
        inside = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PHOTOS and p.parent.name in CLASSES)
        if {path.parent.name for path in inside} != set(CLASSES):
            raise ValueError(f"{folder} must hold photos in folders named {' and '.join(CLASSES)} (at any depth).")
        paths += inside
        clean = len(inside) if number == 0 else clean
    pixels, hashes, pupils = [], [], []
    for index, path in enumerate(paths):
        photo = images.decode(path.read_bytes(), min_side=_SIDE)
        hashes.append(duplicates.dihedral_hashes(photo))
        pixels.append(at_most(photo, _SIDE))
        pupils.append(find_pupil(pixels[-1]))
        if index % 100 == 0:
            reporter.progress("reading", index / len(paths), f"photo {index + 1} of {len(paths)}")
    y = np.array([CLASSES.index(path.parent.name) for path in paths], dtype=np.int64)
    return Collection(paths, pixels, hashes, pupils, y, clean)


def find_clusters(photos: Collection, parts: Path, reporter: Reporter = SILENT) -> NDArray[np.int64]:
    """The cluster of each photo, over all folders: by perceptual hashes, then by local features. Cached in `parts`."""
    file = parts / "clusters.json"
    names = [f"{path.parent.name}/{path.name}" for path in photos.paths]
    if file.exists():
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["names"] == names:
            return np.array(stored["clusters"], dtype=np.int64)
    clusters = duplicates.Clusters(len(names))
    firsts = [hashes[0] for hashes in photos.hashes]
    for index, hashes in enumerate(photos.hashes):
        for other in duplicates.near(hashes, firsts[:index]):
            clusters.join(index, other)
    join_copies(photos.pixels, clusters, reporter)
    write_json(file, {"names": names, "clusters": clusters.numbers()})
    return np.array(clusters.numbers(), dtype=np.int64)


def draw_eyes() -> tuple[list[Pixels], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of synthetic eyes that differ only in the lens: (photos, y, clusters). They teach where to look."""
    eyes, y = [], []
    for seed in range(DRAWN):
        opacity = 0.4 + 0.6 * (seed % 7) / 6
        eyes += [render_eye(1000 + seed, size=160), render_eye(1000 + seed, opacity=opacity, size=160)]
        y += [0, 1]
    return eyes, np.array(y, dtype=np.int64), np.repeat(np.arange(DRAWN), 2) // 4
