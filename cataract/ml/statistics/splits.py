"""Splits that keep every cluster on one side, hold the classes in proportion, and depend on nothing but the seed."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def assign(clusters: Sequence[int], labels: Sequence[int], fractions: Mapping[str, float], seed: int = 0) -> list[str]:
    """Return the split of each photo: clusters are never divided, each class is divided roughly by `fractions`.

    `fractions` maps names to shares that add up to 1, for example {"train": 0.6, "calibration": 0.2, "test": 0.2}.
    Raises ValueError when the shares do not add up or the lengths differ.
    """
    if abs(sum(fractions.values()) - 1) > 1e-9 or any(share < 0 for share in fractions.values()):
        raise ValueError(f"The shares must be positive and add up to 1, got {dict(fractions)}.")
    names = list(fractions)
    chosen = _deal(clusters, labels, [fractions[name] for name in names], seed)
    return [names[chosen[cluster]] for cluster in clusters]


def folds(clusters: Sequence[int], labels: Sequence[int], k: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold (0 to k-1) of each photo, (N,) int64, by the same rules as `assign`, with equal shares."""
    chosen = _deal(clusters, labels, [1 / k] * k, seed)
    return np.array([chosen[cluster] for cluster in clusters], dtype=np.int64)


def _deal(clusters: Sequence[int], labels: Sequence[int], shares: Sequence[float], seed: int) -> dict[int, int]:
    """Give each cluster to the split that lacks most, counted in clusters of its (majority) class."""
    if len(clusters) != len(labels):
        raise ValueError(f"{len(clusters)} clusters for {len(labels)} labels: one of each per photo is needed.")
    positives: dict[int, list[int]] = {}
    for cluster, label in zip(clusters, labels, strict=True):
        positives.setdefault(int(cluster), []).append(int(label))
    chosen: dict[int, int] = {}
    for positive in (False, True):
        members = [cluster for cluster, values in positives.items() if (2 * sum(values) >= len(values)) is positive]
        members.sort(key=lambda cluster: _shuffle_key(seed, cluster))
        given = [0] * len(shares)
        for count, cluster in enumerate(members, start=1):
            lacking = [share * count - had for share, had in zip(shares, given, strict=True)]
            split = max(range(len(shares)), key=lambda index: (round(lacking[index], 9), -index))
            given[split] += 1
            chosen[cluster] = split
    return chosen


def _shuffle_key(seed: int, cluster: int) -> bytes:
    return hashlib.sha256(f"{seed}:{cluster}".encode()).digest()


def cluster_weights(clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights under which every cluster weighs as one photo."""
    _, inverse, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[inverse], dtype=np.float64)
