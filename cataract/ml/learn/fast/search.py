"""The search for LightGBM's parameters under grouped cross-validation, resumable after every trial.

"tpe": Optuna's tree-structured Parzen estimator (Bergstra et al. 2011). "grid": every combination of `GRID`, in a fixed
order.
"""

import itertools
import math
import time
from typing import Any

import numpy as np

from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.fast.cross_validation import CrossValidation, fold_metrics, log_loss

# The first trial: what worked best on the public eye photos (docs/experiments.md).
START: dict[str, Any] = {
    "num_iterations": 200,
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 10,
    "feature_fraction": 0.15,
    "bagging_fraction": 0.8,
    "lambda_l2": 5.0,
    "extra_trees": True,
}
# The grid varies what matters most on the public eye photos; the rest is as in `START`.
GRID: dict[str, list[Any]] = {
    "num_leaves": [7, 4, 15],
    "num_iterations": [200, 100, 400],
    "feature_fraction": [0.15, 0.4],
    "min_data_in_leaf": [10, 20],
}


def search(
    data: CrossValidation, trials: int, seconds: float, checkpoint: Checkpoint, method: str = "tpe"
) -> list[dict[str, Any]]:
    """Try parameters until the budget, or the grid, is spent. One dict per trial, those of the checkpoint included.

    A trial holds "trial", "params", "pruned", "folds" (the log loss of all photos after each fold), "fold_losses" (of
    each fold's photos), "log_loss", "is_best" (so far) and "seconds", and a completed one also "roc_auc" and
    "accuracy". Each new one is reported as a metric. Raises Cancelled.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=5))
    done = checkpoint.lines("fast")
    for trial in done:
        study.add_trial(_restored(trial))
    planned = _planned() if method == "grid" else [START]
    most = min(trials, len(planned)) if method == "grid" else trials
    while len(done) < max(1, most) and (not done or sum(trial["seconds"] for trial in done) < seconds):
        if len(done) < len(planned):
            study.enqueue_trial(planned[len(done)])
        # A new sampler for each trial: its draws depend on the earlier trials, not on the state of a process.
        study.sampler = optuna.samplers.TPESampler(seed=data.seed * 10_007 + len(done), n_startup_trials=8)
        trial = _run_trial(data, study)
        complete = [earlier["log_loss"] for earlier in done if not earlier["pruned"]]
        done.append({**trial, "is_best": not trial["pruned"] and trial["log_loss"] < min(complete, default=math.inf)})
        data.reporter.metric(done[-1], int(done[-1]["trial"]))
        checkpoint.append("fast", done[-1])
    return done


def _planned() -> list[dict[str, Any]]:
    """The points of the grid; the first one is `START`."""
    return [{**START, **dict(zip(GRID, point, strict=True))} for point in itertools.product(*GRID.values())]


def _run_trial(data: CrossValidation, study: Any) -> dict[str, Any]:
    """One trial, pruned after a fold in which it does worse than the median of the earlier trials."""
    from optuna.trial import TrialState

    started = time.monotonic()
    trial = study.ask(_space())
    scores, scored = np.zeros(len(data.y), dtype=np.float32), np.zeros(len(data.y), dtype=bool)
    losses: list[float] = []
    fold_losses: list[float] = []
    for in_fold, fold_scores in data.by_fold(trial.params):
        scores[in_fold], scored = fold_scores, scored | in_fold
        losses.append(log_loss(scores[scored], data.y[scored], data.weights[scored]))
        fold_losses.append(log_loss(fold_scores, data.y[in_fold], data.weights[in_fold]))
        trial.report(losses[-1], len(losses))
        if not scored.all() and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            metrics = {"log_loss": losses[-1]}
            break
    else:
        study.tell(trial, losses[-1])
        metrics = fold_metrics(scores, data.y, data.weights)
    return {
        "trial": trial.number,
        "params": trial.params,
        "pruned": not scored.all(),
        "folds": losses,
        "fold_losses": fold_losses,
        **metrics,
        "seconds": round(time.monotonic() - started, 3),
    }


def _restored(trial: dict[str, Any]) -> Any:
    """A finished trial in Optuna's form."""
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.PRUNED if trial["pruned"] else TrialState.COMPLETE,
        value=trial["log_loss"],
        params=trial["params"],
        distributions=_space(),
        intermediate_values=dict(enumerate(trial["folds"], start=1)),
    )


def _space() -> dict[str, Any]:
    """The search space."""
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
