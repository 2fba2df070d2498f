"""Copies of one picture among photos, even cropped, shifted, turned, sheared or mirrored ones.

Perceptual hashes (`duplicates`) find copies of the whole picture. All others share local features: SIFT key points
(Lowe 2004), compared as RootSIFT (Arandjelovic 2012). Two photos show the same picture when enough key points agree on
one affine map (RANSAC) and the pixels between these points agree too: a caption or frame that a camera prints into all
its photos agrees on its key points only.

Which photos are compared is found by visual words (Sivic 2003): each descriptor becomes a number, and copies share
several. The words need no training: their bits are signs of low frequencies of the descriptor, so that similar
descriptors share their word, and of frequencies that change sign in a mirror, so that mirrored ones do too.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, at_most, convert
from cataract.ml.photos.duplicates import Clusters, group

SIDE = 256  # pixels of the longer side in which key points are found; a photo may be decoded to no more
MIN_SHARED = 3  # visual words that two photos share before they are compared
MOST_CANDIDATES = 8  # photos that one is compared with
_FEATURES = 100
_ALIKE = 0.9  # cosine of two RootSIFT vectors that may show the same spot
_INLIERS = 12  # key points on one affine map: the same picture, or the same caption
_CORRELATION = 0.8  # of the pixels between these key points: the same picture
# So few key points are enough where the photos overlap so much and look so much the same there.
_FEW_INLIERS, _OVERLAP, _CORRELATION_OF_FEW = 6, 0.5, 0.95
_SHARE = 0.05  # of one of the two photos that lies between these key points: more than a logo
_PREVIEW = 64  # pixels of the longer side in which pixels are compared
_PROBES = 2  # neighbouring words of each key point that are searched too

# The frequencies (rows, columns, directions) of a 4 x 4 x 8 descriptor whose signs are the bits of a visual word. With
# an odd number of rows the direction goes by its cosine, else by its sine: all these change sign in a mirror.
_FREQUENCIES = (
    *((0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 2, 1), (0, 2, 2), (0, 3, 2)),
    *((1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 0, 3), (1, 1, 0), (1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 2, 2), (1, 3, 1)),
    *((2, 0, 1), (2, 0, 2), (2, 1, 1), (2, 1, 2), (2, 2, 1)),
)
_BITS = len(_FREQUENCIES)
# A mirrored descriptor holds the same numbers in other places: its rows and its directions run backwards.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


class Progress(Protocol):
    """Receives the progress of a long search."""

    def progress(self, stage: str, fraction: float, message: str = "") -> None: ...


@dataclass(frozen=True)
class Picture:
    """What is compared of one photo, in 18 kB: key points (K, 2), their SIFT descriptors (K, 128), a grey preview."""

    points: Floats
    descriptors: NDArray[np.uint8]
    preview: NDArray[np.uint8]
    scale: float  # of the preview, to the coordinates of the points

    @property
    def vectors(self) -> Floats:
        """The descriptors as RootSIFT: (K, 128), unit length."""
        values = self.descriptors.astype(np.float32)
        return np.asarray(np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1)), dtype=np.float32)


def picture_of(photo: Pixels) -> Picture:
    """The key points of an (H, W, 3) uint8 RGB photo; none where it is empty or smooth."""
    grey = convert(at_most(photo, SIDE), cv2.COLOR_RGB2GRAY)
    if max(grey.shape) < SIDE:  # small photos are enlarged: one scale of key points suits all
        factor = SIDE / max(grey.shape)
        grey = np.asarray(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    detector = cv2.SIFT_create(nfeatures=_FEATURES)  # type: ignore[attr-defined]
    points, descriptors = detector.detectAndCompute(grey, None)
    preview = at_most(grey, _PREVIEW)
    found = [] if descriptors is None else points
    return Picture(
        points=np.array([point.pt for point in found], dtype=np.float32).reshape(-1, 2),
        descriptors=np.zeros((0, 128), np.uint8) if descriptors is None else np.asarray(descriptors, dtype=np.uint8),
        preview=preview,
        scale=preview.shape[1] / grey.shape[1],
    )


def same_picture(a: Picture, b: Picture) -> bool:
    """Whether one photo is a copy of the other, or both of a third; about half a millisecond."""
    return any(_agree(a, b, is_mirrored) for is_mirrored in (False, True))


def visual_words(picture: Picture) -> list[int]:
    """The words of a photo, sorted, each once: under 2**24. Mirrored photos have the same ones."""
    return sorted(set(_folded(_signs(_strengths(picture))).tolist()))


def words_to_search(picture: Picture) -> list[int]:
    """The words under which copies of a photo are stored: its own, and those that differ in one uncertain bit."""
    strengths = _strengths(picture)
    signs = _signs(strengths)
    uncertain = np.argsort(np.abs(strengths), axis=1, kind="stable")[:, :_PROBES]
    found = [signs, *(signs ^ (1 << uncertain[:, probe]) for probe in range(uncertain.shape[1]))]
    return sorted({int(word) for words in found for word in _folded(words)})


class CopyIndex:
    """Photos in memory in which copies are looked up; numbered from 0 in the order in which they are added."""

    def __init__(self) -> None:
        self._pictures: list[Picture] = []
        self._by_word: dict[int, list[int]] = defaultdict(list)

    def add(self, picture: Picture) -> None:
        for word in visual_words(picture):
            self._by_word[word].append(len(self._pictures))
        self._pictures.append(picture)

    def candidates(self, picture: Picture) -> list[int]:
        """The photos that share the most words with this one, the first of equals first."""
        shared = Counter(photo for word in words_to_search(picture) for photo in self._by_word.get(word, ()))
        ranked = sorted(shared.items(), key=lambda item: (-item[1], item[0]))
        return [photo for photo, count in ranked[:MOST_CANDIDATES] if count >= MIN_SHARED]

    def is_copy(self, photo: int, picture: Picture) -> bool:
        return same_picture(picture, self._pictures[photo])


def group_copies(hashes_of_each: Sequence[Sequence[str]], pictures: Sequence[Picture]) -> list[int]:
    """Return a cluster id per photo, numbered from 0 by first appearance: copies by hash (`group`) or by key points."""
    clusters, firsts = Clusters(len(pictures)), dict[int, int]()
    for index, cluster in enumerate(group(hashes_of_each)):
        clusters.join(index, firsts.setdefault(cluster, index))
    _join(pictures, len(pictures), clusters, None)
    return clusters.numbers()


def join_copies(photos: Sequence[Pixels], clusters: Clusters, reporter: Progress | None = None) -> None:
    """Join in `clusters` (by index) every photo with the earlier photos of which it is a copy."""
    _join((picture_of(photo) for photo in photos), len(photos), clusters, reporter)


def _join(pictures: Iterable[Picture], count: int, clusters: Clusters, reporter: Progress | None) -> None:
    index = CopyIndex()
    for number, picture in enumerate(pictures):
        for other in index.candidates(picture):
            if not clusters.are_joined(number, other) and index.is_copy(other, picture):
                clusters.join(number, other)
        index.add(picture)
        if reporter is not None:
            reporter.progress("copies", (number + 1) / count, "looking for copies of one original")


def _agree(a: Picture, b: Picture, is_mirrored: bool) -> bool:
    vectors = a.vectors
    cosines = (vectors[:, _MIRROR] if is_mirrored else vectors) @ b.vectors.T
    if not cosines.size:
        return False
    best = cosines.argmax(axis=1)
    sure = cosines[np.arange(len(best)), best] >= _ALIKE
    source, target = a.points[sure], b.points[best[sure]]
    if len(source) < _FEW_INLIERS:
        return False
    cv2.setRNGSeed(1)  # RANSAC is random: the same two photos always give the same answer
    matrix, inliers = cv2.estimateAffine2D(source, target, ransacReprojThreshold=4.0)
    if matrix is None:
        return False
    stretch: NDArray[np.float64] = np.linalg.svd(np.asarray(matrix)[:, :2], compute_uv=False)
    if stretch[0] > 5 or stretch[1] < 0.2:  # a map that collapses the picture agrees with anything
        return False
    agreeing = target[np.asarray(inliers).ravel() > 0]
    count = len(np.unique(agreeing, axis=0))
    if count >= _INLIERS:
        return _correlation(a, b, np.asarray(matrix), agreeing) >= _CORRELATION
    return count >= _FEW_INLIERS and _correlation(a, b, np.asarray(matrix), None) >= _CORRELATION_OF_FEW


def _correlation(a: Picture, b: Picture, matrix: NDArray[np.float64], points: Floats | None) -> float:
    """How much `a`, mapped onto `b`, looks like it between these points of `b`, or wherever they overlap; 0 where too
    little can be compared."""
    to_preview = np.asarray(matrix, dtype=np.float64).copy()
    to_preview[:, :2] *= b.scale / a.scale
    to_preview[:, 2] *= b.scale
    smaller = min(b.preview.size, a.preview.size * abs(float(np.linalg.det(to_preview[:, :2]))))
    height, width = b.preview.shape
    between = np.full_like(b.preview, 255)
    if points is not None:
        hull = cv2.convexHull(points * np.float32(b.scale))
        if cv2.contourArea(hull) < _SHARE * smaller:
            return 0.0
        between[:] = 0
        cv2.fillConvexPoly(between, np.round(hull).astype(np.int32), 255)
    covered = cv2.warpAffine(np.full_like(a.preview, 255), to_preview, (width, height))
    inside = (between > 0) & (covered > 250)
    if inside.sum() < 16 or (points is None and inside.sum() < _OVERLAP * smaller):
        return 0.0
    mapped = cv2.warpAffine(a.preview, to_preview, (width, height))[inside].astype(np.float64)
    own = b.preview[inside].astype(np.float64)
    if mapped.std() < 1 or own.std() < 1:
        return 0.0
    return float(np.corrcoef(mapped, own)[0, 1])


def _basis() -> Floats:
    """The frequencies as columns: (128, _BITS), each of unit length."""
    places, directions = (np.arange(4) + 0.5) * np.pi / 4, np.arange(8) * np.pi / 4
    columns = []
    for rows, across, turns in _FREQUENCIES:
        wave = np.cos(turns * directions) if rows % 2 else np.sin(turns * directions)
        column = np.einsum("a,b,c->abc", np.cos(rows * places), np.cos(across * places), wave).ravel()
        columns.append(column / np.linalg.norm(column))
    return np.stack(columns, axis=1).astype(np.float32)


_BASIS = _basis()


def _strengths(picture: Picture) -> Floats:
    return np.asarray(picture.vectors @ _BASIS, dtype=np.float32)


def _signs(strengths: Floats) -> NDArray[np.int64]:
    return np.asarray((strengths > 0) @ (1 << np.arange(_BITS, dtype=np.int64)), dtype=np.int64)


def _folded(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each word or its complement, whichever is smaller: a mirror complements all bits."""
    return np.asarray(np.minimum(words, words ^ ((1 << _BITS) - 1)), dtype=np.int64)
