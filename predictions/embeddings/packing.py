"""The vector of an Embedding as the bytes of its column."""

import numpy as np
from numpy.typing import ArrayLike

from cataract.ml.arrays import Floats


def pack(vector: ArrayLike) -> bytes:
    """A vector (D,) as 4 * D bytes: float32, little-endian, on every machine."""
    return np.asarray(vector, dtype="<f4").tobytes()


def unpack(stored: bytes | memoryview) -> Floats:
    """The vector (D,) float32 that `pack` wrote, read-only; of N joined vectors all numbers, (N * D,).

    PostgreSQL returns a memoryview, SQLite bytes.
    """
    return np.frombuffer(bytes(stored), dtype="<f4")
