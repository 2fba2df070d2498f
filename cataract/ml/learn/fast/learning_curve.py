"""How the loss of the fast model falls with the number of trees: on photos that it was fitted on, and on others."""

from typing import Any

import numpy as np

from cataract.ml.arrays import Floats
from cataract.ml.learn.fast.cross_validation import CrossValidation, log_loss, train

_POINTS = 20


def report_learning_curve(data: CrossValidation, params: dict[str, Any]) -> None:
    """Report the log loss of the models of a cross-validation, as they were after about twenty numbers of trees.

    Each metric holds "trees", "train_log_loss" and "validation_log_loss", the latter on the fold left out; both are
    means over the folds. Raises Cancelled.
    """
    most = int(params["num_iterations"])
    at = np.unique(np.linspace(1, most, min(_POINTS, most)).astype(int))
    losses = np.zeros((2, len(at)))
    folds = list(data.rest_of_folds)
    for in_fold, rest in folds:
        booster = train(rest, params, data.seed, data.reporter)
        for point, trees in enumerate(at):
            for side, rows in enumerate((~in_fold, in_fold)):
                scores = _scores(booster, data.x[rows], int(trees))
                losses[side, point] += log_loss(scores, data.y[rows], data.weights[rows]) / len(folds)
    for point, trees in enumerate(at):
        values = {"train_log_loss": float(losses[0, point]), "validation_log_loss": float(losses[1, point])}
        data.reporter.metric({"trees": int(trees), **values}, int(trees))


def _scores(booster: Any, x: Floats, trees: int) -> Floats:
    return np.asarray(booster.predict(x, raw_score=True, num_iteration=trees, num_threads=1), dtype=np.float32)
