"""The fast model at inference: the embedding -> LightGBM -> raw score."""

from typing import Any

import numpy as np

from cataract.ml.arrays import Floats


class FastModel:
    """LightGBM read from its text format; `score` may be called from many threads at once."""

    def __init__(self, text: str, *, dim: int) -> None:
        """Raises ValueError when the model takes another number of features than `dim`."""
        from lightgbm import Booster  # 1.7 s, and scikit-learn with it: only a process that predicts pays for it

        self._booster: Any = Booster(model_str=text)
        if self._booster.num_feature() != dim:
            raise ValueError(f"the fast model takes {self._booster.num_feature()} features, the encoder gives {dim}")

    def score(self, vectors: Floats) -> Floats:
        """Inputs (N, D) float32 -> raw scores (N,), log-odds of cataract before calibration."""
        raw = self._booster.predict(vectors, raw_score=True, num_threads=1, validate_features=False)
        return np.asarray(raw, dtype=np.float32)
