"""Soft labels: a teacher's probabilities for photos without a label (knowledge distillation, Hinton 2015)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats


@dataclass(frozen=True)
class SoftLabels:
    """M photos without a label. x: (M, D) inputs; p: (M,) probability of cataract; weight: of each, where a labelled
    photo weighs 1. None may share a cluster with a labelled photo."""

    x: Floats
    p: NDArray[np.float64]
    weight: float
