"""The big model teaches the small one: the accurate model's answers on photos without a label, for the fast model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.learn.fit.checkpoint import Checkpoint
from cataract.ml.learn.fit.fast import Taught, ask
from cataract.ml.photos import images


@dataclass(frozen=True)
class Teaching:
    """Photos without a label: stored file and sha256 of each. None may be in a cluster of a labelled photo, or of a
    split other than training. `weight`: of each beside a labelled photo's 1; `floor`: the probability of its answer
    (0.5 to 1) from which the teacher is believed.
    """

    paths: Sequence[Path]
    sha256s: Sequence[str]
    weight: float = 0.3
    floor: float = 0.9


def teach(
    teacher: Cascade,
    kept: Checkpoint,
    teaching: Teaching | None,
    on_progress: Callable[[str, float, str], None],
    should_stop: Callable[[], bool],
) -> Taught | None:
    """What the accurate model of `teacher` is sure of; None when there is nothing to teach with.

    Photos that its gate refuses teach nothing. Raises Cancelled.
    """
    if teaching is None or not teaching.paths:
        return None
    found = kept.arrays("taught", lambda: _ask(teacher, teaching.paths, on_progress, should_stop))
    sure = np.maximum(found["p"], 1 - found["p"]) >= teaching.floor
    return Taught(found["x"][sure], found["p"][sure], teaching.weight)


def _ask(
    teacher: Cascade,
    paths: Sequence[Path],
    on_progress: Callable[[str, float, str], None],
    should_stop: Callable[[], bool],
) -> dict[str, NDArray[Any]]:
    """x: (M, D) inputs of the fast model; p: (M,) the teacher's probability of cataract."""
    judged: list[tuple[Any, float]] = []
    for index, path in enumerate(paths):
        ask(should_stop)
        outcome: Outcome = teacher.predict([images.decode(path.read_bytes())], mode="accurate")[0]
        if outcome.accurate_probability is not None:
            judged.append((outcome.embedding, outcome.accurate_probability))
        if index % 20 == 0:
            on_progress("teaching", index / len(paths), f"photo {index + 1} of {len(paths)} without a label")
    x = np.stack([vector for vector, _ in judged]) if judged else np.zeros((0, teacher.spec.dim), dtype=np.float32)
    return {"x": x, "p": np.array([p for _, p in judged], dtype=np.float64)}
