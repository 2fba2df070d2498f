"""Near-duplicate photos: perceptual hashes over the eight flips and quarter turns, and the clusters that they form.

The hash is the 64-bit DCT hash ("pHash", Zauner 2010, as in the ImageHash library): 32 x 32 grey levels, the 8 x 8
lowest frequencies, each compared with their median. Mirroring a picture only changes the signs of its odd
frequencies, and turning it transposes them, so the seven other hashes cost nothing.

An index finds near hashes by their bands, the four quarters of a hash (multi-index hashing: Norouzi, Punjani and Fleet,
2012, with unequal radii): see `band_probes`.
"""

from collections.abc import Collection, Sequence
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

# Two photos whose hashes differ in at most this many of 64 bits are copies. Measured on the public eye photos
# (docs/experiments.md): true copies lie at 0-6; at 10 and more, different eyes of one kind begin to meet.
NEAR = 6
# Cosine of two embeddings from which two photos count as copies, where embeddings are given.
NEAR_COSINE = 0.985

BANDS = 4  # parts of a hash, of this many hex characters each
BAND_LENGTH = 4
# Two hashes at most NEAR apart differ in at most this many bits in one of the bands at least: if each band differed in
# more, they would be sum(radius + 1) = NEAR + 1 apart. The first band varies least between photos, so it is exact.
_RADII = (0, 1, 1, 1)
assert sum(radius + 1 for radius in _RADII) == NEAR + 1

_SIDE = 32
_LOW = 8
# By radius: what flips at most so many bits of a band.
_MASKS = [
    [
        sum(1 << bit for bit in bits)
        for count in range(radius + 1)
        for bits in combinations(range(4 * BAND_LENGTH), count)
    ]
    for radius in range(max(_RADII) + 1)
]
_ALTERNATE = np.where(np.arange(_LOW) % 2, -1.0, 1.0)


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the 64-bit pHash of one (H, W, 3) uint8 RGB photo as 16 hex characters."""
    return _bits(_frequencies(pixels))


def dihedral_hashes(pixels: NDArray[np.uint8]) -> list[str]:
    """Return eight hashes: of the photo itself, then of its mirrored and turned versions."""
    low = _frequencies(pixels)
    hashes = []
    for turned in (low, low.T):
        for rows in (1.0, _ALTERNATE[:, None]):
            for columns in (1.0, _ALTERNATE[None, :]):
                hashes.append(_bits(turned * rows * columns))
    return hashes


def nearest(query_hashes: Sequence[str], hashes: Sequence[str]) -> tuple[int, int] | None:
    """Return (index, distance) of the stored hash closest to any of the query's, the first of equals; None if none."""
    if not query_hashes or not hashes:
        return None
    distances = _distances(_words(query_hashes), _words(hashes)).min(axis=0)
    index = int(distances.argmin())
    return index, int(distances[index])


def is_near(query_hashes: Sequence[str], hashes: Sequence[str]) -> bool:
    """Whether any of the stored hashes is within `NEAR` of any of the query's."""
    match = nearest(query_hashes, hashes)
    return match is not None and match[1] <= NEAR


def near(query_hashes: Sequence[str], hashes: Sequence[str]) -> list[int]:
    """Return the indices of all stored hashes within `NEAR` of any of the query's."""
    if not query_hashes or not hashes:
        return []
    distances = _distances(_words(query_hashes), _words(hashes)).min(axis=0)
    return [int(index) for index in np.flatnonzero(distances <= NEAR)]


def band_probes(query_hashes: Collection[str]) -> list[list[str]]:
    """Return, for each of the `BANDS`, the values that it may have in a hash within `NEAR` of any of the query's.

    A near hash has one of these values in at least one band. Eight hashes give at most 416 values.
    """
    probes: list[list[str]] = []
    for band, radius in enumerate(_RADII):
        start = band * BAND_LENGTH
        words = {int(text[start : start + BAND_LENGTH], 16) for text in query_hashes}
        found = {word ^ mask for word in words for mask in _MASKS[radius]}
        probes.append([f"{word:0{BAND_LENGTH}x}" for word in sorted(found)])
    return probes


def group(hashes_of_each: Sequence[Sequence[str]], embeddings: NDArray[np.float32] | None = None) -> list[int]:
    """Return a cluster id per photo, numbered from 0 by first appearance.

    Photos are joined, transitively, when any of one's hashes (see `dihedral_hashes`) is within `NEAR` of the other's
    first hash, or when their embeddings' cosine is at least `NEAR_COSINE` (embeddings: (N, D), any scale).
    """
    clusters = Clusters(len(hashes_of_each))
    firsts = _words([hashes[0] for hashes in hashes_of_each])
    unit = None if embeddings is None else _unit(embeddings)
    for index, hashes in enumerate(hashes_of_each):
        near = _distances(_words(hashes), firsts[index + 1 :]).min(axis=0, initial=64) <= NEAR
        if unit is not None:
            near |= unit[index + 1 :] @ unit[index] >= NEAR_COSINE
        for other in np.flatnonzero(near) + index + 1:
            clusters.join(index, int(other))
    return clusters.numbers()


class Clusters:
    """Which of `count` photos belong together (union-find): `join` pairs, then read the cluster `numbers`."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def join(self, a: int, b: int) -> None:
        """Photos `a` and `b`, and all that was joined with either, are one cluster."""
        first, second = sorted((self._root(a), self._root(b)))
        self._parent[second] = first

    def are_joined(self, a: int, b: int) -> bool:
        """Whether photos `a` and `b` are one cluster already."""
        return self._root(a) == self._root(b)

    def numbers(self) -> list[int]:
        """The cluster of each photo, numbered from 0 by first appearance."""
        numbers: dict[int, int] = {}
        return [numbers.setdefault(self._root(index), len(numbers)) for index in range(len(self._parent))]

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index


def _frequencies(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small.astype(np.float64))[:_LOW, :_LOW], dtype=np.float64)


def _bits(low: NDArray[np.float64]) -> str:
    bits = (low > np.median(low)).ravel()
    return np.packbits(bits).tobytes().hex()


def _words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=">u8").astype(np.uint64)


def _distances(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_count(a[:, None] ^ b[None, :]), dtype=np.int64)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
