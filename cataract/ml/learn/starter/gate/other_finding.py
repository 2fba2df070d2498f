"""Fit the rule that tells whether something other than a cataract shows on an eye: red, yellow or inflamed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cataract.ml.arrays import Floats
from cataract.ml.learn.starter.clean_set import CleanSet, cluster_weights
from cataract.ml.learn.starter.gate.linear_rule import fit_linear_rule, rounded

_STRENGTH = 0.003  # scikit-learn's C; 0.03 finds fewer conditions of sources that were left out
_FLAGGED = 0.25  # share of the eyes without another condition that is flagged


def fit_other_finding(clean: CleanSet, home: str, seed: int) -> dict[str, Any] | None:
    """The entry `other` of gate.json, on the embeddings of both views; None where no photo shows another condition.

    An eye with a cataract counts as one without another condition: the rule must not flag the cataract itself. In the
    clean set, `home`, hardly any other condition shows. The limit is a quantile over held-out clusters of that set.
    """
    x = clean.vectors[:, : clean.spec.embedding_dim * len(clean.spec.views)]
    other = np.where((clean.y == 1) | (clean.sources == home), 0.0, clean.other)
    known = np.flatnonzero(~np.isnan(other))
    x, other, clusters = x[known], other[known], clean.clusters[known]
    if not other.any():
        return None
    cluster = np.unique(clusters, return_inverse=True)[1]
    fold_of = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)[cluster] % 5
    scores = np.zeros(len(x))
    for fold in range(5):
        if other[fold_of != fold].any():
            weights, bias = _fit(x[fold_of != fold], other[fold_of != fold], clusters[fold_of != fold])
            scores[fold_of == fold] = x[fold_of == fold] @ weights + bias
    usual = (clean.sources[known] == home) & (other == 0)
    weights, bias = _fit(x, other, clusters)
    limit = float(np.quantile(scores[usual], 1 - _FLAGGED))
    return {"weights": rounded(weights), "bias": bias, "limit": limit}


def _fit(x: Floats, other: NDArray[np.float64], clusters: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    regression = LogisticRegression(C=_STRENGTH, max_iter=500, class_weight="balanced")
    return fit_linear_rule(x, other, cluster_weights(clusters), regression)
