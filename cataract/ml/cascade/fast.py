"""The fast model at inference: embedding -> LightGBM or logistic regression -> raw score."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats


class FastModel:
    """LightGBM read from its text format, or a logistic regression from JSON; many threads may call `score` at once."""

    def __init__(self, text: str, *, dim: int) -> None:
        """Raises ValueError when the model takes another number of features than `dim`."""
        self._linear = _Linear.read(text) if text.startswith("{") else None
        if self._linear is not None:
            features = len(self._linear.coefficients)
        else:
            from lightgbm import Booster  # takes 1.7 s and imports scikit-learn: only processes that predict pay

            self._booster: Any = Booster(model_str=text)
            features = self._booster.num_feature()
        if features != dim:
            raise ValueError(f"the fast model takes {features} features, the encoder gives {dim}")

    def score(self, vectors: Floats) -> Floats:
        """Inputs (N, D) float32 -> raw scores (N,), log-odds of cataract before calibration."""
        if self._linear is not None:
            return self._linear.score(vectors)
        raw = self._booster.predict(vectors, raw_score=True, num_threads=1, validate_features=False)
        return np.asarray(raw, dtype=np.float32)

    def score_range(self, vector: Floats) -> tuple[float, float]:
        """The lowest and highest raw score of the input (D,) when each feature may be off by rounding.

        Trees are step functions, and the kernels of two processors agree to about 1e-5: a feature this close to a split
        can fall on either side. Slow; for checks, not for answers.
        """
        if self._linear is not None:
            return self._linear.score_range(vector)
        trees = self._booster.dump_model()["tree_info"]
        ranges = [_leaf_range(tree["tree_structure"], vector) for tree in trees]
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)


_ROUNDING = 1e-5


@dataclass(frozen=True)
class _Linear:
    """A logistic regression on unscaled inputs: {"coefficients": [D numbers], "intercept": b}."""

    coefficients: NDArray[np.float64]
    intercept: float

    @classmethod
    def read(cls, text: str) -> "_Linear":
        stated = json.loads(text)
        return cls(np.array(stated["coefficients"], dtype=np.float64), float(stated["intercept"]))

    def score(self, vectors: Floats) -> Floats:
        return np.asarray(vectors.astype(np.float64) @ self.coefficients + self.intercept, dtype=np.float32)

    def score_range(self, vector: Floats) -> tuple[float, float]:
        score = float(self.score(vector[None])[0])
        slack = float(np.abs(self.coefficients) @ (_ROUNDING * np.maximum(1.0, np.abs(vector))))
        return score - slack, score + slack


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
