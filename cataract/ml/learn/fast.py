"""Fit the fast model: LightGBM on embeddings, its parameters searched by Optuna under grouped cross-validation.

Never imports torch: a light installation retrains the fast model.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml import splits
from cataract.ml.arrays import Floats

FOLDS = 5

_FIXED: dict[str, Any] = {
    "objective": "binary",
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "bagging_freq": 1,
    "max_bin": 63,
}
# Where the search begins: what served best on the public eye photos (docs/experiments.md).
_START: dict[str, Any] = {
    "num_iterations": 200,
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 10,
    "feature_fraction": 0.15,
    "bagging_fraction": 0.8,
    "lambda_l2": 5.0,
    "extra_trees": True,
}


class Cancelled(Exception):
    """Somebody asked to stop; nothing was written."""


@dataclass(frozen=True)
class FastFit:
    """A fitted fast model. text: LightGBM's text format; oof_scores: log-odds of each photo (N,) by models that were
    fitted without its cluster; trials: one dict per trial, as given to `on_trial`."""

    text: str
    params: dict[str, Any]
    oof_scores: Floats
    trials: list[dict[str, Any]]


def fit_fast(
    x: Floats,
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    *,
    trials: int = 20,
    seconds: float = 600.0,
    seed: int = 0,
    on_trial: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FastFit:
    """Search parameters by the log loss of grouped cross-validation, then fit on all photos.

    x: (N, D) inputs; y: (N,) 0/1; groups: (N,) clusters, never divided between folds; weights: (N,), 1 by default. The
    same input, seed and number of trials give the same text, byte for byte; `seconds` may end the search earlier.
    Raises ValueError when there are not at least two clusters of each class, Cancelled when `should_stop` says so.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    fold_of = _folds(y, groups, seed)
    scores: dict[int, Floats] = {}
    told: list[dict[str, Any]] = []

    def objective(trial: Any) -> float:
        params = _suggest(trial)
        oof = out_of_fold(x, y, weight, fold_of, params, seed=seed, should_stop=should_stop)
        figures = _figures(oof, y, weight)
        scores[trial.number] = oof
        told.append({"trial": trial.number, "params": params, **figures})
        if on_trial is not None:
            on_trial(told[-1])
        return figures["log_loss"]

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8))
    study.enqueue_trial(_START)
    study.optimize(objective, n_trials=max(1, trials), timeout=seconds)
    best = study.best_trial
    params = told[best.number]["params"]
    text = _train(x, y, weight, params, seed).model_to_string()
    return FastFit(text, params, scores[best.number], told)


def out_of_fold(
    x: Floats,
    y: NDArray[np.int64],
    weights: NDArray[np.float64],
    fold_of: NDArray[np.int64],
    params: dict[str, Any],
    *,
    seed: int,
    asked: Floats | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Floats:
    """Log-odds (N,) of each photo by the model of the other folds; `asked`: other versions of the photos, to score."""
    scores = np.zeros(len(y), dtype=np.float32)
    for fold in np.unique(fold_of):
        if should_stop():
            raise Cancelled("The training was stopped.")
        held = fold_of == fold
        booster = _train(x[~held], y[~held], weights[~held], params, seed)
        scores[held] = booster.predict((x if asked is None else asked)[held], raw_score=True, num_threads=1)
    return scores


def read_params(text: str) -> dict[str, Any]:
    """The searched parameters of a fast model, from LightGBM's text."""
    stated = dict(re.findall(r"^\[(\w+): (.*)\]$", text, flags=re.MULTILINE))
    return {name: type(default)(float(stated[name])) for name, default in _START.items()}


def _folds(y: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """As many folds as the rarer class has clusters, at most `FOLDS`."""
    fewest = min(len(np.unique(groups[y == label])) for label in (0, 1))
    if fewest < 2:
        raise ValueError("The fast model needs photos from at least two clusters of each class.")
    return splits.folds(groups.tolist(), y.tolist(), min(FOLDS, fewest), seed)


def _train(x: Floats, y: NDArray[np.int64], weights: NDArray[np.float64], params: dict[str, Any], seed: int) -> Any:
    import lightgbm

    data = lightgbm.Dataset(x, y, weight=weights, free_raw_data=False)
    return lightgbm.train({**_FIXED, **params, "seed": seed}, data)


def _suggest(trial: Any) -> dict[str, Any]:
    return {
        "num_iterations": trial.suggest_int("num_iterations", 60, 400),
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 15),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 3, 25),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.05, 0.6, log=True),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 30.0, log=True),
        "extra_trees": trial.suggest_categorical("extra_trees", [True, False]),
    }


def _figures(scores: Floats, y: NDArray[np.int64], weights: NDArray[np.float64]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    log_odds = scores.astype(np.float64)
    loss = np.logaddexp(0, log_odds) - y * log_odds
    return {
        "log_loss": float(np.average(loss, weights=weights)),
        "roc_auc": float(roc_auc_score(y, log_odds, sample_weight=weights)),
        "accuracy": float(np.average((log_odds > 0) == (y == 1), weights=weights)),
    }
