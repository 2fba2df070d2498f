"""Fit the fast model: LightGBM or a logistic regression on embeddings and hand-crafted features.

Needs no torch: a light installation retrains the fast model.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.fast import logistic
from cataract.ml.learn.fast.cross_validation import CrossValidation, bin_photos, fold_metrics, make_folds, train
from cataract.ml.learn.fast.learning_curve import report_learning_curve
from cataract.ml.learn.fast.search import START, search
from cataract.ml.learn.fast.soft_labels import SoftLabels
from cataract.ml.learn.reporter import SILENT, Reporter

_SEARCHED = 4000  # photos of the search; the model and its out-of-fold scores use all photos


_REPEATS = 3  # foldings that the search has not seen, for the out-of-fold scores and the stated metrics


@dataclass(frozen=True)
class FastFit:
    """A fitted fast model. text: the content of fast.txt; oof_scores: log-odds (N,) float32 of each photo by models
    fitted without its cluster; trials: one dict per trial (`search.search`); repeats: the metrics of each of three
    foldings that the search has not seen; candidates: the log loss of each kind of model in the search; ablation:
    metrics with and without soft labels, and whether these were used; empty without soft labels."""

    text: str
    params: dict[str, Any]
    oof_scores: Floats
    trials: list[dict[str, Any]]
    repeats: list[dict[str, float]] = field(default_factory=list)
    candidates: dict[str, float] = field(default_factory=dict)
    ablation: dict[str, Any] = field(default_factory=dict)


def fit_fast(
    x: Floats,
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    *,
    copies: int = 0,
    linear: bool = False,
    soft_labels: SoftLabels | None = None,
    method: str = "tpe",
    trials: int = 20,
    seconds: float = 600.0,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    reporter: Reporter = SILENT,
) -> FastFit:
    """Search parameters by the log loss of grouped cross-validation, then fit on all photos.

    x: (N, D) float32; y: (N,) 0/1; groups: (N,) clusters, never divided between folds; weights: (N,), 1 by default. The
    last `copies` rows are changed copies: to learn from, in no stated metric. linear: also try a logistic regression,
    and take the kind of model with the lower log loss. The same input, seed and number of trials give the same text,
    byte for byte, also when the search was killed and resumes from its `checkpoint`; `seconds` of work may end the
    search earlier. With many photos the search uses a part. The out-of-fold scores are of folds that the search has not
    seen: the best of many trials is too good on its own. Soft labels are used only when they lower the log loss of the
    labelled photos.
    Raises ValueError when there are not at least two clusters of each class, Cancelled.
    """
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    data = CrossValidation(x, y, weight, make_folds(y, groups, seed), seed, reporter)
    searched = data.subset(groups, _SEARCHED)
    history = search(searched, trials, seconds, checkpoint or Checkpoint(), method)
    best = min((trial for trial in history if not trial["pruned"]), key=lambda trial: float(trial["log_loss"]))
    candidates, strength = {"LightGBM": float(best["log_loss"])}, 0.0
    if linear:
        strength, candidates["logistic regression"] = logistic.best_strength(searched)
    foldings = [replace(data, fold_of=make_folds(y, groups, seed + number)) for number in range(1, _REPEATS + 1)]
    measured = slice(None, len(y) - copies)
    ablation: dict[str, Any] = {}
    if min(candidates, key=candidates.__getitem__) == "logistic regression":
        runs = [logistic.scores(folding, strength) for folding in foldings]
        text, params = logistic.fit_text(x, y, weight, strength), {"strength": strength}
    else:
        params = best["params"]
        report_learning_curve(searched, params)
        runs = [folding.scores(params) for folding in foldings]
        if soft_labels is not None and len(soft_labels.p):
            distilled = [folding.scores(params, soft_labels) for folding in foldings]
            ablation = _ablation(soft_labels, *(fold_metrics(each[0], y, weight) for each in (distilled, runs)))
            soft_labels, runs = (soft_labels, distilled) if ablation["kept"] else (None, runs)
        booster = train(bin_photos(x, y, weight, seed, soft_labels), params, seed, reporter)
        text = booster.model_to_string()
    repeats = [fold_metrics(scores[measured], y[measured], weight[measured]) for scores in runs]
    return FastFit(text, params, runs[0], history, repeats, candidates, ablation)


def read_params(text: str) -> dict[str, Any]:
    """The searched parameters of a fast model, from LightGBM's text."""
    stated = dict(re.findall(r"^\[(\w+): (.*)\]$", text, flags=re.MULTILINE))
    return {name: type(default)(float(stated[name])) for name, default in START.items()}


def _ablation(soft_labels: SoftLabels, distilled: dict[str, float], alone: dict[str, float]) -> dict[str, Any]:
    kept = distilled["log_loss"] < alone["log_loss"]
    photos, weight = len(soft_labels.p), soft_labels.weight
    return {"photos": photos, "weight": weight, "with": distilled, "without": alone, "kept": kept}
