"""The out-of-fold scores of a release: of each photo of the installation, by models that were fitted without it.

A later run that keeps one of the two models finds that model's scores here, by the photo's sha256. The model itself
would be too sure of photos that it was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats

FILE = "out_of_fold.npz"


@dataclass(frozen=True)
class OutOfFold:
    """N photos: sha256, and the log-odds of both models of this release, NaN where a model has no such score."""

    sha256s: NDArray[np.str_]
    fast: Floats
    accurate: Floats

    @classmethod
    def load(cls, folder: Path) -> "OutOfFold":
        """The scores of the release in `folder`; empty when it has no such file."""
        if not (folder / FILE).exists():
            return cls(np.zeros(0, dtype="<U64"), *(np.zeros(0, dtype=np.float32) for _ in range(2)))
        with np.load(folder / FILE, allow_pickle=False) as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})

    def save(self, folder: Path) -> None:
        """Write the file. The same content gives the same bytes."""
        np.savez_compressed(folder / FILE, **{field.name: getattr(self, field.name) for field in fields(self)})

    def of(self, model: str, sha256s: Sequence[str]) -> Floats:
        """The scores (N,) of these photos by "fast" or "accurate", NaN where there is none."""
        known = dict(zip(self.sha256s.tolist(), getattr(self, model).tolist(), strict=True))
        return np.array([known.get(sha256, np.nan) for sha256 in sha256s], dtype=np.float32)
