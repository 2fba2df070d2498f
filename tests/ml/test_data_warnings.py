"""What is doubtful about the photos of a training is said in words."""

from pathlib import Path

import numpy as np
import pytest

from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.build.data_warnings import count_warnings, training_warnings
from cataract.ml.learn.vectors.embedding_cache import EmbeddedPhotos


@pytest.mark.parametrize(
    ("normal", "cataract", "said"),
    [
        (60, 60, []),
        (600, 31, ["1 cataract for 19 normal"]),
        (90, 4, ["only 4 patients or groups of photos labelled cataract", "1 cataract for 22 normal"]),
        (12, 50, ["only 12 patients or groups of photos labelled normal"]),
        (53, 0, ["No photo is labelled cataract"]),
    ],
)
def test_few_and_unequal_classes(normal: int, cataract: int, said: list[str]) -> None:
    warnings = count_warnings(normal, cataract)
    assert len(warnings) == len(said)
    assert all(words in warning for words, warning in zip(said, warnings, strict=True))


@pytest.mark.parametrize(("flipped", "is_said"), [(0.0, False), (0.1, True)])
def test_probably_wrong_labels(flipped: float, is_said: bool) -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    x = (rng.normal(size=(200, 10)) + 2.0 * truth[:, None]).astype(np.float32)
    y = np.where(np.arange(200) < 200 * flipped, 1 - truth, truth)
    names = [f"{n:064x}" for n in range(200)]
    data = TrainingData([Path()] * 200, names, y, np.arange(200), ["train"] * 200, np.ones(200))
    warnings = training_warnings(data, EmbeddedPhotos(x, [[]] * 200))
    assert len(warnings) == is_said and all("labels are probably wrong" in warning for warning in warnings)
