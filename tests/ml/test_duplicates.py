"""Near-duplicates: copies are found in every orientation, different eyes are not joined."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cataract.ml.photos import duplicates
from cataract.ml.synthetic import render_eye


def _distance(hashes: list[str], others: list[str]) -> int:
    match = duplicates.nearest(hashes, others)
    assert match is not None
    return match[1]


def test_the_eight_hashes_are_those_of_the_turned_photos() -> None:
    photo = render_eye(3)
    fast = duplicates.dihedral_hashes(photo)
    slow = [
        duplicates.perceptual_hash(np.ascontiguousarray(np.rot90(flipped, turn)))
        for flipped in (photo, photo[:, ::-1])
        for turn in range(4)
    ]
    assert len(fast) == 8 and fast[0] == duplicates.perceptual_hash(photo)
    assert all(_distance([a], fast) <= 4 for a in slow)


def test_a_copy_stays_near_after_scaling_and_compression() -> None:
    photo = render_eye(4, size=320)
    small = np.asarray(cv2.resize(photo, (150, 140), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])
    copy = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    assert duplicates.is_near([duplicates.perceptual_hash(photo)], [duplicates.perceptual_hash(copy)])


def test_nearest_names_the_first_of_the_closest() -> None:
    hashes = ["ffffffffffffffff", "0000000000000000", "0000000000000001", "0000000000000000"]
    assert duplicates.nearest(["0000000000000000"], hashes) == (1, 0)
    assert duplicates.nearest(["0000000000000003", "ffffffffffffff0f"], hashes) == (2, 1)
    assert duplicates.nearest(["0000000000000000"], []) is None


def test_groups_join_transitively_and_by_embedding() -> None:
    chain = [["0000000000000000"], ["000000000000003f"], ["0000000000000fff"], ["ffffffff00000000"]]
    assert duplicates.group(chain) == [0, 0, 0, 1]
    assert duplicates.group([]) == []
    embeddings = np.array([[1, 0], [0, 1], [0, 1], [2, 0.01]], dtype=np.float32)
    assert duplicates.group([chain[0], chain[2], chain[2], chain[3]], embeddings) == [0, 1, 1, 0]


@pytest.mark.photos
def test_the_published_split_leaks_and_one_cluster_has_both_labels(eyes: Path) -> None:
    paths = [path for path in sorted(eyes.rglob("*")) if path.is_file()]
    hashes = []
    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (128, 128))
            hashes.append(duplicates.dihedral_hashes(np.asarray(image.convert("RGB"))))
    clusters = duplicates.group(hashes)
    trained = {cluster for cluster, path in zip(clusters, paths, strict=True) if path.parent.parent.name == "train"}
    leaks = [path for cluster, path in zip(clusters, paths, strict=True) if "test" in path.parts and cluster in trained]
    labels: dict[int, set[str]] = {}
    for cluster, path in zip(clusters, paths, strict=True):
        labels.setdefault(cluster, set()).add(path.parent.name)
    assert len(leaks) >= 40
    assert sum(len(names) == 2 for names in labels.values()) == 1
    assert max(np.bincount(clusters)) <= 12, "a larger cluster means that unrelated eyes were joined"
