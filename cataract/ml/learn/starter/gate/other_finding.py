"""Fit the rule that tells whether something other than a cataract shows on an eye: red, yellow or inflamed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cataract.ml.arrays import Floats
from cataract.ml.learn.starter.gate.linear_rule import fit_linear_rule, rounded
from cataract.ml.statistics.splits import cluster_weights

_STRENGTH = 0.003  # scikit-learn's C; 0.03 finds fewer conditions of sources that were left out
_FLAGGED = 0.25  # share of the eyes without another condition that is flagged


def fit_other_finding(
    embeddings: Floats,
    y: NDArray[np.int64],
    other: Floats,
    clusters: NDArray[np.int64],
    at_home: NDArray[np.bool_],
    seed: int,
) -> dict[str, Any] | None:
    """The entry `other` of gate.json; None where no photo shows another condition.

    embeddings: of both views, (N, D). other: 1, 0 or NaN where it is not known, (N,); an eye with a cataract, y = 1,
    counts as one without another condition: the rule must not flag the cataract itself. at_home: photos of the clean
    set, where hardly any other condition shows. The limit is a quantile over held-out clusters of that set.
    """
    shows = np.where((y == 1) | at_home, 0.0, other.astype(np.float64))
    known = np.flatnonzero(~np.isnan(shows))
    x, shows, clusters = embeddings[known], shows[known], clusters[known]
    if not shows.any():
        return None
    cluster = np.unique(clusters, return_inverse=True)[1]
    fold_of = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)[cluster] % 5
    scores = np.zeros(len(x))
    for fold in range(5):
        if shows[fold_of != fold].any():
            weights, bias = _fit(x[fold_of != fold], shows[fold_of != fold], clusters[fold_of != fold])
            scores[fold_of == fold] = x[fold_of == fold] @ weights + bias
    usual = at_home[known] & (shows == 0)
    weights, bias = _fit(x, shows, clusters)
    limit = float(np.quantile(scores[usual], 1 - _FLAGGED))
    return {"weights": rounded(weights), "bias": bias, "limit": limit}


def _fit(x: Floats, other: NDArray[np.float64], clusters: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    regression = LogisticRegression(C=_STRENGTH, max_iter=500, class_weight="balanced")
    return fit_linear_rule(x, other, cluster_weights(clusters), regression)
