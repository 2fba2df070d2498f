"""LightGBM under grouped cross-validation: the folds, the models fitted on them, and their out-of-fold scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.learn.fast.soft_labels import SoftLabels
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.statistics import splits

FOLDS = 5
_FIXED: dict[str, Any] = {
    "objective": "binary",
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "feature_pre_filter": False,  # all trials share the same bins, made once
    "bagging_freq": 1,
    "max_bin": 63,
}


@dataclass(frozen=True)
class CrossValidation:
    """N labelled photos and the fold of each. x: (N, D) float32; y: (N,) 0/1; weights: (N,); fold_of: (N,)."""

    x: Floats
    y: NDArray[np.int64]
    weights: NDArray[np.float64]
    fold_of: NDArray[np.int64]
    seed: int
    reporter: Reporter = SILENT

    def subset(self, groups: NDArray[np.int64], size: int) -> "CrossValidation":
        """About `size` of the photos at most: whole clusters, the classes in proportion, in new folds."""
        parts = -(-len(self.y) // size)
        if parts == 1:
            return self
        rows = splits.folds(groups.tolist(), self.y.tolist(), parts, self.seed) == 0
        fold_of = make_folds(self.y[rows], groups[rows], self.seed)
        return CrossValidation(self.x[rows], self.y[rows], self.weights[rows], fold_of, self.seed, self.reporter)

    def scores(
        self, params: dict[str, Any], soft_labels: SoftLabels | None = None, inputs: Floats | None = None
    ) -> Floats:
        """Log-odds (N,) of each photo by the model of the other folds. inputs: other versions (N, D) to score."""
        scores = np.zeros(len(self.y), dtype=np.float32)
        for in_fold, fold_scores in self.by_fold(params, soft_labels, inputs):
            scores[in_fold] = fold_scores
        return scores

    def by_fold(
        self, params: dict[str, Any], soft_labels: SoftLabels | None = None, inputs: Floats | None = None
    ) -> Iterator[tuple[NDArray[np.bool_], Floats]]:
        """For each fold, which photos it holds (N,) and their log-odds by the model of the other folds.

        Raises Cancelled.
        """
        for in_fold, rest in self.rest_of_folds if soft_labels is None else self._bin(soft_labels):
            booster = train(rest, params, self.seed, self.reporter)
            scores = booster.predict((self.x if inputs is None else inputs)[in_fold], raw_score=True, num_threads=1)
            yield in_fold, scores.astype(np.float32)

    @cached_property
    def rest_of_folds(self) -> list[tuple[NDArray[np.bool_], Any]]:
        """For each fold, which photos it holds (N,), and the others as all trials fit on them.

        Sorting the inputs into bins takes longer than many a fit.
        """
        return list(self._bin(None))

    def _bin(self, soft_labels: SoftLabels | None) -> Iterator[tuple[NDArray[np.bool_], Any]]:
        for fold in np.unique(self.fold_of):
            self.reporter.check_stop()
            in_fold = self.fold_of == fold
            yield (
                in_fold,
                bin_photos(self.x[~in_fold], self.y[~in_fold], self.weights[~in_fold], self.seed, soft_labels),
            )


def make_folds(y: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold of each photo: as many folds as the rarer class has clusters, at most `FOLDS`.

    Raises ValueError when a class has fewer than two clusters.
    """
    fewest = min(len(np.unique(groups[y == label])) for label in (0, 1))
    if fewest < 2:
        raise ValueError("The fast model needs photos from at least two clusters of each class.")
    return splits.folds(groups.tolist(), y.tolist(), min(FOLDS, fewest), seed)


def bin_photos(
    x: Floats, y: NDArray[np.int64], weights: NDArray[np.float64], seed: int, soft_labels: SoftLabels | None = None
) -> Any:
    """LightGBM's dataset of labelled photos and of soft labels."""
    import lightgbm

    target: NDArray[Any] = y
    if soft_labels is not None:  # a soft label p is both hard ones, weighted by p and 1 - p: the same loss
        p, weight = soft_labels.p, soft_labels.weight
        x = np.concatenate([x, soft_labels.x, soft_labels.x])
        target = np.concatenate([y, np.ones(len(p)), np.zeros(len(p))])
        weights = np.concatenate([weights, weight * p, weight * (1 - p)])
    return lightgbm.Dataset(x, target, weight=weights, params={**_FIXED, "seed": seed}).construct()


def train(dataset: Any, params: dict[str, Any], seed: int, reporter: Reporter) -> Any:
    """A LightGBM booster. Raises Cancelled between two trees."""
    import lightgbm

    def check_stop(_: Any) -> None:
        reporter.check_stop()

    return lightgbm.train({**_FIXED, **params, "seed": seed}, dataset, callbacks=[check_stop])


def fold_metrics(scores: Floats, y: NDArray[np.int64], weights: NDArray[np.float64]) -> dict[str, float]:
    """Log loss, ROC-AUC and accuracy of log-odds (N,), weighted."""
    from sklearn.metrics import roc_auc_score

    return {
        "log_loss": log_loss(scores, y, weights),
        "roc_auc": float(roc_auc_score(y, scores, sample_weight=weights)),
        "accuracy": float(np.average((scores > 0) == (y == 1), weights=weights)),
    }


def log_loss(scores: Floats, y: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The weighted log loss of log-odds (N,)."""
    log_odds = scores.astype(np.float64)
    return float(np.average(np.logaddexp(0, log_odds) - y * log_odds, weights=weights))
