"""Knowledge distillation: the accurate model gives unlabelled photos soft labels for the fast model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.labels import Mode
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.fast.soft_labels import SoftLabels
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import images


@dataclass(frozen=True)
class Distillation:
    """Photos without a label: stored file and sha256 of each. None may share a cluster with a labelled photo, and all
    belong to the training split.

    weight: of each photo, where a labelled photo weighs 1. floor: the teacher's answer is used from this probability
    (0.5 to 1) on.
    """

    paths: Sequence[Path]
    sha256s: Sequence[str]
    weight: float = 0.3
    floor: float = 0.9


def make_soft_labels(
    teacher: Cascade, distillation: Distillation | None, checkpoint: Checkpoint, reporter: Reporter = SILENT
) -> SoftLabels | None:
    """The answers that the accurate model of `teacher` is sure of; None when there are no photos.

    Photos that its gate refuses are left out. Raises Cancelled.
    """
    if distillation is None or not distillation.paths:
        return None
    answers = checkpoint.arrays("taught", lambda: _predict(teacher, distillation.paths, reporter))
    sure = np.maximum(answers["p"], 1 - answers["p"]) >= distillation.floor
    return SoftLabels(answers["x"][sure], answers["p"][sure], distillation.weight)


def _predict(teacher: Cascade, paths: Sequence[Path], reporter: Reporter) -> dict[str, NDArray[Any]]:
    """x: (M, D) inputs of the fast model; p: (M,) the teacher's probability of cataract."""
    answers: list[tuple[Any, float]] = []
    for index, path in enumerate(paths):
        reporter.check_stop()
        outcome: Outcome = teacher.predict([images.decode(path.read_bytes())], mode=Mode.ACCURATE)[0]
        if outcome.accurate_probability is not None:
            answers.append((outcome.embedding, outcome.accurate_probability))
        if index % 20 == 0:
            reporter.progress("teaching", index / len(paths), f"photo {index + 1} of {len(paths)} without a label")
    x = np.stack([vector for vector, _ in answers]) if answers else np.zeros((0, teacher.spec.dim), dtype=np.float32)
    return {"x": x, "p": np.array([p for _, p in answers], dtype=np.float64)}
