"""Fit the fast model: LightGBM on embeddings, its parameters searched by Optuna under grouped cross-validation.

Never imports torch: a light installation retrains the fast model.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.learn.fit.checkpoint import Checkpoint
from cataract.ml.statistics import splits

FOLDS = 5
_SEARCHED = 4000  # photos on which parameters are searched; the model and its out-of-fold scores are of all photos

_FIXED: dict[str, Any] = {
    "objective": "binary",
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "feature_pre_filter": False,  # the bins are the same for every trial, so that they are made once
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


def ask(should_stop: Callable[[], bool]) -> None:
    """Between two steps of a fit. Raises Cancelled."""
    if should_stop():
        raise Cancelled("The training was stopped.")


@dataclass(frozen=True)
class Taught:
    """Photos without a label, and what a teacher says of them ("the big model teaches the small one", Hinton 2015).

    x: (M, D) inputs; p: (M,) probability of cataract; weight: what each weighs beside a labelled photo's 1. None may be
    in a cluster of a labelled photo.
    """

    x: Floats
    p: NDArray[np.float64]
    weight: float


@dataclass(frozen=True)
class FastFit:
    """A fitted fast model. text: LightGBM's text format; oof_scores: log-odds of each photo (N,) by models that were
    fitted without its cluster; trials: one dict per trial, as given to `on_trial`; ablation: figures with and without
    what was taught, and whether it was kept; empty when nothing was taught."""

    text: str
    params: dict[str, Any]
    oof_scores: Floats
    trials: list[dict[str, Any]]
    ablation: dict[str, Any] = field(default_factory=dict)


def fit_fast(
    x: Floats,
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    *,
    taught: Taught | None = None,
    trials: int = 20,
    seconds: float = 600.0,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    on_trial: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FastFit:
    """Search parameters by the log loss of grouped cross-validation, then fit on all photos.

    x: (N, D) inputs; y: (N,) 0/1; groups: (N,) clusters, never divided between folds; weights: (N,), 1 by default. The
    same input, seed and number of trials give the same text, byte for byte, also when the search was killed and goes on
    from its `checkpoint`; `seconds` of work may end the search earlier. Of many photos the search sees a part. What was
    `taught` is used only when it lowers the log loss of the labelled photos.
    Raises ValueError when there are not at least two clusters of each class, Cancelled when `should_stop` says so.
    """
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    data = _Data(x, y, weight, _folds(y, groups, seed), seed, should_stop)
    told = _search(data.some(groups), trials, seconds, checkpoint or Checkpoint(), on_trial)
    best = min((trial for trial in told if not trial["pruned"]), key=lambda trial: float(trial["log_loss"]))
    params, ablation = best["params"], {}
    scores = data.out_of_fold(params)
    if taught is not None and len(taught.p):
        helped = data.out_of_fold(params, taught)
        ablation = _ablation(taught, _figures(helped, y, weight), _figures(scores, y, weight))
        taught, scores = (taught, helped) if ablation["kept"] else (None, scores)
    booster = _train(_binned(x, y, weight, seed, taught), params, seed, should_stop)
    return FastFit(booster.model_to_string(), params, scores, told, ablation)


@dataclass(frozen=True)
class _Data:
    """What every trial of one search shares."""

    x: Floats
    y: NDArray[np.int64]
    weights: NDArray[np.float64]
    fold_of: NDArray[np.int64]
    seed: int
    should_stop: Callable[[], bool]

    def some(self, groups: NDArray[np.int64]) -> "_Data":
        """At most about `_SEARCHED` of the photos: whole clusters, the classes in proportion, folds dealt anew."""
        parts = -(-len(self.y) // _SEARCHED)
        if parts == 1:
            return self
        rows = splits.folds(groups.tolist(), self.y.tolist(), parts, self.seed) == 0
        fold_of = _folds(self.y[rows], groups[rows], self.seed)
        return _Data(self.x[rows], self.y[rows], self.weights[rows], fold_of, self.seed, self.should_stop)

    def out_of_fold(self, params: dict[str, Any], taught: Taught | None = None) -> Floats:
        scores = np.zeros(len(self.y), dtype=np.float32)
        for held, found in self.folds(params, taught):
            scores[held] = found
        return scores

    def folds(
        self, params: dict[str, Any], taught: Taught | None = None, asked: Floats | None = None
    ) -> Iterator[tuple[NDArray[np.bool_], Floats]]:
        """For each fold, which photos it holds (N,) and their log-odds by the model of the other folds."""
        for held, rows in self._rows_of_folds if taught is None else self._bin(taught):
            booster = _train(rows, params, self.seed, self.should_stop)
            found = booster.predict((self.x if asked is None else asked)[held], raw_score=True, num_threads=1)
            yield held, found.astype(np.float32)

    @cached_property
    def _rows_of_folds(self) -> list[tuple[NDArray[np.bool_], Any]]:
        """What all trials fit on. Sorting the inputs into bins takes longer than many a fit."""
        return list(self._bin(None))

    def _bin(self, taught: Taught | None) -> Iterator[tuple[NDArray[np.bool_], Any]]:
        for fold in np.unique(self.fold_of):
            ask(self.should_stop)
            held = self.fold_of == fold
            yield held, _binned(self.x[~held], self.y[~held], self.weights[~held], self.seed, taught)


def _search(
    data: _Data,
    trials: int,
    seconds: float,
    checkpoint: Checkpoint,
    on_trial: Callable[[dict[str, Any]], None] | None,
) -> list[dict[str, Any]]:
    """Try parameters until the budget is spent; what the checkpoint knows was tried already. One dict per trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=5))
    told = checkpoint.lines("fast")
    for trial in told:
        study.add_trial(_remembered(trial))
    while len(told) < max(1, trials) and (not told or sum(trial["seconds"] for trial in told) < seconds):
        if not told:
            study.enqueue_trial(_START)
        # A sampler of its own for each trial: what it draws depends on the trials before and on no process's memory.
        study.sampler = optuna.samplers.TPESampler(seed=data.seed * 10_007 + len(told), n_startup_trials=8)
        told.append(_try(data, study))
        if on_trial is not None:
            on_trial(told[-1])
        checkpoint.append("fast", told[-1])
    return told


def _try(data: _Data, study: Any) -> dict[str, Any]:
    """One trial, given up after a fold in which it does worse than the median of the trials before."""
    from optuna.trial import TrialState

    started = time.monotonic()
    trial = study.ask(_space())
    scores, judged = np.zeros(len(data.y), dtype=np.float32), np.zeros(len(data.y), dtype=bool)
    steps: list[float] = []
    for held, found in data.folds(trial.params):
        scores[held], judged = found, judged | held
        steps.append(_log_loss(scores[judged], data.y[judged], data.weights[judged]))
        trial.report(steps[-1], len(steps))
        if not judged.all() and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            figures = {"log_loss": steps[-1]}
            break
    else:
        study.tell(trial, steps[-1])
        figures = _figures(scores, data.y, data.weights)
    told = {"trial": trial.number, "params": trial.params, "pruned": not judged.all(), "folds": steps, **figures}
    return {**told, "seconds": round(time.monotonic() - started, 3)}


def _remembered(told: dict[str, Any]) -> Any:
    """A finished trial, as Optuna had it."""
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.PRUNED if told["pruned"] else TrialState.COMPLETE,
        value=told["log_loss"],
        params=told["params"],
        distributions=_space(),
        intermediate_values=dict(enumerate(told["folds"], start=1)),
    )


def _ablation(taught: Taught, helped: dict[str, float], alone: dict[str, float]) -> dict[str, Any]:
    kept = helped["log_loss"] < alone["log_loss"]
    return {"photos": len(taught.p), "weight": taught.weight, "with": helped, "without": alone, "kept": kept}


def out_of_fold(
    x: Floats,
    y: NDArray[np.int64],
    weights: NDArray[np.float64],
    fold_of: NDArray[np.int64],
    params: dict[str, Any],
    *,
    seed: int,
    asked: Floats,
) -> Floats:
    """Log-odds (N,) of `asked`, other versions of the photos, by models of the other folds."""
    scores = np.zeros(len(y), dtype=np.float32)
    for held, found in _Data(x, y, weights, fold_of, seed, lambda: False).folds(params, asked=asked):
        scores[held] = found
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


def _binned(
    x: Floats, y: NDArray[np.int64], weights: NDArray[np.float64], seed: int, taught: Taught | None = None
) -> Any:
    """LightGBM's form of labelled photos and of what was taught."""
    import lightgbm

    target: NDArray[Any] = y
    if taught is not None:  # a soft label p is the two hard ones, weighed by p and 1 - p: the same loss
        x = np.concatenate([x, taught.x, taught.x])
        target = np.concatenate([y, np.ones(len(taught.p)), np.zeros(len(taught.p))])
        weights = np.concatenate([weights, taught.weight * taught.p, taught.weight * (1 - taught.p)])
    return lightgbm.Dataset(x, target, weight=weights, params={**_FIXED, "seed": seed}).construct()


def _train(rows: Any, params: dict[str, Any], seed: int, should_stop: Callable[[], bool]) -> Any:
    import lightgbm

    def stop(_: Any) -> None:
        ask(should_stop)

    return lightgbm.train({**_FIXED, **params, "seed": seed}, rows, callbacks=[stop])


def _space() -> dict[str, Any]:
    """What the search may try, in Optuna's words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "num_iterations": IntDistribution(60, 400),
        "learning_rate": FloatDistribution(0.02, 0.15, log=True),
        "num_leaves": IntDistribution(3, 15),
        "min_data_in_leaf": IntDistribution(3, 25),
        "feature_fraction": FloatDistribution(0.05, 0.6, log=True),
        "bagging_fraction": FloatDistribution(0.5, 1.0),
        "lambda_l2": FloatDistribution(0.1, 30.0, log=True),
        "extra_trees": CategoricalDistribution([True, False]),
    }


def _figures(scores: Floats, y: NDArray[np.int64], weights: NDArray[np.float64]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    return {
        "log_loss": _log_loss(scores, y, weights),
        "roc_auc": float(roc_auc_score(y, scores, sample_weight=weights)),
        "accuracy": float(np.average((scores > 0) == (y == 1), weights=weights)),
    }


def _log_loss(scores: Floats, y: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    log_odds = scores.astype(np.float64)
    return float(np.average(np.logaddexp(0, log_odds) - y * log_odds, weights=weights))
