"""Find copies of one original among photos, even cropped, turned, sheared or mirrored ones.

Perceptual hashes (`photos.duplicates`) find whole-picture copies. Published sets also hold offline augmentations,
which only local features survive: SIFT key points (Lowe 2004), compared as RootSIFT (Arandjelovic 2012), and accepted
when enough of them agree on one affine map (RANSAC).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, at_most, convert
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos.duplicates import Clusters

_SIDE = 256
_FEATURES = 100
_ALIKE = 0.9  # cosine of two RootSIFT vectors that may show the same spot
_VOTES = 6  # of a photo's key points, before the geometry is checked
_INLIERS = 12  # key points on one affine map: the same picture
_FIRM = 30  # key points on one map: too close a copy to need a second reference


@dataclass(frozen=True)
class _Features:
    points: Floats  # (K, 2)
    vectors: Floats  # (K, 128), unit length


def join_copies(photos: Sequence[Pixels], clusters: Clusters, reporter: Reporter = SILENT) -> None:
    """Join in `clusters` (by index) every photo with the earlier photos of which it is a copy.

    Photos are compared with the first of each cluster and with those copies that differ much from it, so the order
    matters little and the cost grows with the number of originals, not with its square.
    """
    detector = cv2.SIFT_create(nfeatures=_FEATURES)  # type: ignore[attr-defined]
    references = _References()
    cv2.setRNGSeed(1)  # RANSAC is random
    for index, photo in enumerate(photos):
        upright = _features(detector, photo)
        known = references.matches(upright)
        for other, _ in known:
            clusters.join(index, other)
        if all(inliers < _FIRM for _, inliers in known):
            mirrored = _features(detector, np.ascontiguousarray(photo[:, ::-1]))
            references.add(index, upright)
            references.add(index, mirrored)
        reporter.progress("copies", (index + 1) / len(photos), "looking for copies of one original")


class _References:
    """The photos compared with so far. All their vectors lie in one array that grows by doubling."""

    def __init__(self) -> None:
        self._features: list[_Features] = []
        self._photo: list[int] = []
        self._vectors = np.zeros((4096, 128), dtype=np.float32)
        self._owner = np.zeros(4096, dtype=np.int64)
        self._used = 0

    def add(self, photo: int, features: _Features) -> None:
        count = len(features.vectors)
        while self._used + count > len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            self._owner = np.concatenate([self._owner, np.zeros_like(self._owner)])
        self._vectors[self._used : self._used + count] = features.vectors
        self._owner[self._used : self._used + count] = len(self._features)
        self._used += count
        self._features.append(features)
        self._photo.append(photo)

    def matches(self, query: _Features) -> list[tuple[int, int]]:
        """(photo, agreeing key points) of the references that show the same picture as `query`."""
        if not self._used or not len(query.vectors):
            return []
        cosines = query.vectors @ self._vectors[: self._used].T
        best = cosines.argmax(axis=1)
        sure = cosines[np.arange(len(best)), best] >= _ALIKE
        votes = np.bincount(self._owner[best[sure]], minlength=len(self._features))
        candidates = np.argsort(-votes, kind="stable")[:4]
        found = []
        for candidate in candidates[votes[candidates] >= _VOTES]:
            inliers = _agreeing(query, self._features[candidate])
            if inliers >= _INLIERS:
                found.append((self._photo[candidate], inliers))
        return found


def _features(detector: "cv2.SIFT", photo: Pixels) -> _Features:
    grey = convert(at_most(photo, _SIDE), cv2.COLOR_RGB2GRAY)
    if max(grey.shape) < _SIDE:  # small photos are enlarged: one scale of key points suits all
        factor = _SIDE / max(grey.shape)
        grey = np.asarray(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    points, vectors = detector.detectAndCompute(grey, None)
    if vectors is None:
        return _Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    rooted = np.sqrt(vectors / np.maximum(vectors.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return _Features(np.array([point.pt for point in points], dtype=np.float32), rooted)


def _agreeing(a: _Features, b: _Features) -> int:
    """How many matched key points of `a` and `b` agree on one plausible affine map."""
    cosines = a.vectors @ b.vectors.T
    best = cosines.argmax(axis=1)
    sure = cosines[np.arange(len(best)), best] >= _ALIKE
    source, target = a.points[sure], b.points[best[sure]]
    if len(source) < 4:
        return 0
    matrix, inliers = cv2.estimateAffine2D(source, target, ransacReprojThreshold=4.0)
    if matrix is None:
        return 0
    stretch: NDArray[np.float64] = np.linalg.svd(np.asarray(matrix)[:, :2], compute_uv=False)
    if stretch[0] > 5 or stretch[1] < 0.2:  # a map that collapses the picture agrees with anything
        return 0
    return len(np.unique(target[np.asarray(inliers).ravel() > 0], axis=0))
