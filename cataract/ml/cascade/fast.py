"""The fast model at inference: embedding -> LightGBM -> raw score."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cataract.ml.arrays import Floats


class FastModel:
    """LightGBM read from its text format; `score` may be called from many threads at once."""

    def __init__(self, text: str, *, dim: int) -> None:
        """Raises ValueError when the model takes another number of features than `dim`."""
        from lightgbm import Booster  # takes 1.7 s and imports scikit-learn: only processes that predict pay

        self._booster: Any = Booster(model_str=text)
        if self._booster.num_feature() != dim:
            raise ValueError(f"the fast model takes {self._booster.num_feature()} features, the encoder gives {dim}")

    def score(self, vectors: Floats) -> Floats:
        """Inputs (N, D) float32 -> raw scores (N,), log-odds of cataract before calibration."""
        raw = self._booster.predict(vectors, raw_score=True, num_threads=1, validate_features=False)
        return np.asarray(raw, dtype=np.float32)

    def score_range(self, vector: Floats) -> tuple[float, float]:
        """The lowest and highest raw score of the input (D,) when each feature may be off by rounding.

        Trees are step functions, and the kernels of two processors agree to about 1e-5: a feature this close to a split
        can fall on either side. Slow; for checks, not for answers.
        """
        trees = self._booster.dump_model()["tree_info"]
        ranges = [_leaf_range(tree["tree_structure"], vector) for tree in trees]
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)


_ROUNDING = 1e-5


def _leaf_range(node: Mapping[str, Any], vector: Floats) -> tuple[float, float]:
    """The smallest and largest leaf below `node` that `vector` reaches, up to rounding."""
    if "leaf_value" in node:
        return node["leaf_value"], node["leaf_value"]
    value, split = float(vector[node["split_feature"]]), node["threshold"]
    slack = _ROUNDING * max(1.0, abs(split))
    branches = [node["left_child"]] if value <= split + slack else []
    branches += [node["right_child"]] if value > split - slack else []
    lows, highs = zip(*(_leaf_range(branch, vector) for branch in branches), strict=True)
    return min(lows), max(highs)
