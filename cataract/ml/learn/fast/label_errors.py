"""Find labels that are probably wrong: confident learning (Northcutt et al. 2021, cleanlab) on embeddings."""

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.statistics import splits

FOLDS = 5


def find_suspects(
    x: Floats, y: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int = 0
) -> list[tuple[int, float]]:
    """(row, probability of the label given) of each label that is probably wrong, the most doubtful first.

    x: (N, D) the fast model's inputs; y: (N,) 0/1; groups: (N,) clusters. Each photo is judged by a logistic regression
    fitted without its cluster: no copy confirms the label of another. Raises ValueError when a class has photos of
    fewer than two clusters.
    """
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fewest = min(len(np.unique(groups[y == label])) for label in (0, 1))
    if fewest < 2:
        raise ValueError("A label check needs photos from at least two clusters of each class.")
    fold_of = splits.folds(groups.tolist(), y.tolist(), min(FOLDS, fewest), seed)
    p = np.zeros((len(y), 2))
    for fold in np.unique(fold_of):
        in_fold = fold_of == fold
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=1 / x.shape[1], max_iter=1000, class_weight="balanced")
        )
        p[in_fold] = model.fit(x[~in_fold], y[~in_fold]).predict_proba(x[in_fold])
    rows = find_label_issues(y, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [(int(row), float(p[row, y[row]])) for row in rows]
