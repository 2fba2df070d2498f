"""Splits: a cluster is never divided, the classes stay in proportion, the same seed gives the same split."""

import numpy as np
import pytest

from cataract.ml.statistics import splits

SHARES = {"train": 0.6, "calibration": 0.2, "test": 0.2}


def clustered(seed: int = 0) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 150, size=400).tolist()
    return clusters, [cluster % 3 == 0 for cluster in clusters]


def test_a_cluster_is_never_divided() -> None:
    clusters, labels = clustered()
    for result in (splits.assign(clusters, labels, SHARES), splits.folds(clusters, labels, 5).tolist()):
        pairs = set(zip(clusters, result, strict=True))
        assert len(pairs) == len(set(clusters))


def test_each_class_is_divided_as_the_shares_say() -> None:
    clusters, labels = clustered()
    result = splits.assign(clusters, labels, SHARES)
    of_cluster = dict(zip(clusters, zip(labels, result, strict=True), strict=True))
    for label in (False, True):
        own = [split for value, split in of_cluster.values() if value == label]
        for name, share in SHARES.items():
            assert abs(own.count(name) - share * len(own)) <= 1


def test_the_seed_decides() -> None:
    clusters, labels = clustered()
    assert splits.assign(clusters, labels, SHARES, 1) == splits.assign(clusters, labels, SHARES, 1)
    assert splits.assign(clusters, labels, SHARES, 1) != splits.assign(clusters, labels, SHARES, 2)


def test_five_folds_are_of_one_size() -> None:
    clusters = list(range(103))
    sizes = np.bincount(splits.folds(clusters, [0] * 103, 5))
    assert sizes.max() - sizes.min() <= 1


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        splits.assign([0], [0], {"train": 0.5})
