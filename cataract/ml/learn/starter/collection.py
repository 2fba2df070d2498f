"""The public eye photos of a starter build in memory, and their clusters of copies."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, at_most
from cataract.ml.encoding.framing import Framing
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.labels import CATARACT, CLASSES
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.starter.gate.framing_rule import fit_framing
from cataract.ml.learn.starter.labels import NO_EYE, Curation, Label
from cataract.ml.photos import duplicates, images
from cataract.ml.photos.copies import join_copies
from cataract.ml.release.manifest import write_json
from cataract.ml.synthetic import render_eye

_SIDE = 256
_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
DRAWN = 160  # pairs of synthetic eyes, four pairs as one original


@dataclass(frozen=True)
class Collection:
    """All photos in memory, framed, long side at most 256; those of the first folder, the clean set, come first.

    clean: how many these are. noisy: how many of the further folders follow; the rest comes from other sources.
    sources: the name of each photo's folder. hashes: of each photo, mirrored and turned ones included. y, other: see
    `Label`. published: y before the curation. framing: how each was framed.
    """

    paths: list[Path]
    sources: NDArray[np.str_]
    pixels: list[Pixels]
    hashes: list[list[str]]
    pupils: list[Pupil | None]
    y: NDArray[np.int64]
    published: NDArray[np.int64]
    other: Floats
    clean: int
    noisy: int
    framing: Framing

    @property
    def home(self) -> str:
        """The source of the clean set."""
        return str(self.sources[0])

    @property
    def other_sources(self) -> list[str]:
        """The names of the other sources."""
        return sorted(set(self.sources[self.clean + self.noisy :].tolist()))

    def rows(self, *, eyes: bool, sources: Sequence[str]) -> NDArray[np.int64]:
        """The photos of these sources that show an eye, or those that do not."""
        return np.flatnonzero(((self.y != NO_EYE) == eyes) & np.isin(self.sources, sources))


def collect(folders: Sequence[Path], others: Path | None = None, reporter: Reporter = SILENT) -> Collection:
    """Read every photo below the folders, and below `others`, which holds one folder a source.

    A photo's label is the name of its folder, unless it was curated (`labels`). Raises ValueError for a folder without
    both classes, and on an unknown label.
    """
    curation = Curation()
    found: list[tuple[Path, str, Label]] = []
    counts = []
    for folder in folders:
        inside = list(_photos(folder, folder.name, curation, CLASSES))
        if {path.parent.name for path, _, _ in inside} != set(CLASSES):
            raise ValueError(f"{folder} must hold photos in folders named {' and '.join(CLASSES)} (at any depth).")
        found += inside
        counts.append(len(inside))
    for source in sorted(others.iterdir()) if others else ():
        found += _photos(source, source.name, curation)
    pixels, hashes = [], []
    for index, (path, _, _) in enumerate(found):
        photo = images.decode(path.read_bytes(), min_side=_SIDE)
        hashes.append(duplicates.dihedral_hashes(photo))
        pixels.append(at_most(photo, _SIDE))
        if index % 100 == 0:
            reporter.progress("reading", index / len(found), f"photo {index + 1} of {len(found)}")
    labels = [label for _, _, label in found]
    whole = [index for index, label in enumerate(labels) if label.cataract != NO_EYE and _is_upright(index, counts)]
    framing = fit_framing([pixels[index] for index in whole])
    pixels = [framing.cut(picture) for picture in pixels]
    return Collection(
        paths=[path for path, _, _ in found],
        sources=np.array([source for _, source, _ in found]),
        pixels=pixels,
        hashes=hashes,
        pupils=[find_pupil(photo) for photo in pixels],
        y=np.array([label.cataract for label in labels], dtype=np.int64),
        published=np.array([path.parent.name == CATARACT for path, _, _ in found], dtype=np.int64),
        other=np.array([label.other for label in labels], dtype=np.float32),
        clean=counts[0],
        noisy=sum(counts[1:]),
        framing=framing,
    )


def _is_upright(index: int, counts: Sequence[int]) -> bool:
    """Not so the photos of the second kind of folder, which were augmented offline: turned, for instance."""
    return not counts[0] <= index < sum(counts)


def _photos(
    folder: Path, source: str, curation: Curation, published: Sequence[str] | None = None
) -> Iterator[tuple[Path, str, Label]]:
    """The photos below a folder, those in folders of the `published` labels only."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _PHOTOS or (published and path.parent.name not in published):
            continue
        label = curation.label_of(source, path)
        if label is not None:
            yield path, source, label


def find_clusters(photos: Collection, parts: Path, reporter: Reporter = SILENT) -> NDArray[np.int64]:
    """The cluster of each photo, over all folders: by perceptual hashes, then by local features. Cached in `parts`."""
    file = parts / "clusters.json"
    names = [
        f"{source}/{path.parent.name}/{path.name}" for source, path in zip(photos.sources, photos.paths, strict=True)
    ]
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
