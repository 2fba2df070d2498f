"""Fit the fast model: LightGBM on embeddings and hand-crafted features.

Never imports torch: a light installation retrains the fast model.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.learn.fit.checkpoint import Checkpoint
from cataract.ml.learn.fit.cross_validation import CrossValidation, bin_photos, fold_metrics, make_folds, train
from cataract.ml.learn.fit.learning_curve import report_learning_curve
from cataract.ml.learn.fit.search import START, search
from cataract.ml.learn.fit.soft_labels import SoftLabels
from cataract.ml.learn.reporter import SILENT, Reporter

_SEARCHED = 4000  # photos of the search; the model and its out-of-fold scores use all photos


@dataclass(frozen=True)
class FastFit:
    """A fitted fast model. text: LightGBM's text format; oof_scores: log-odds (N,) float32 of each photo by models that
    were fitted without its cluster; trials: one dict per trial (`search.search`); ablation: metrics with and without
    soft labels, and whether these were used; empty without soft labels."""

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
    soft_labels: SoftLabels | None = None,
    trials: int = 20,
    seconds: float = 600.0,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    reporter: Reporter = SILENT,
) -> FastFit:
    """Search parameters by the log loss of grouped cross-validation, then fit on all photos.

    x: (N, D) float32; y: (N,) 0/1; groups: (N,) clusters, never divided between folds; weights: (N,), 1 by default. The
    same input, seed and number of trials give the same text, byte for byte, also when the search was killed and resumes
    from its `checkpoint`; `seconds` of work may end the search earlier. With many photos the search uses a part.
    Soft labels are used only when they lower the log loss of the labelled photos.
    Raises ValueError when there are not at least two clusters of each class, Cancelled.
    """
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    data = CrossValidation(x, y, weight, make_folds(y, groups, seed), seed, reporter)
    searched = data.subset(groups, _SEARCHED)
    history = search(searched, trials, seconds, checkpoint or Checkpoint())
    best = min((trial for trial in history if not trial["pruned"]), key=lambda trial: float(trial["log_loss"]))
    params, ablation = best["params"], {}
    report_learning_curve(searched, params)
    scores = data.scores(params)
    if soft_labels is not None and len(soft_labels.p):
        distilled = data.scores(params, soft_labels)
        ablation = _ablation(soft_labels, fold_metrics(distilled, y, weight), fold_metrics(scores, y, weight))
        soft_labels, scores = (soft_labels, distilled) if ablation["kept"] else (None, scores)
    booster = train(bin_photos(x, y, weight, seed, soft_labels), params, seed, reporter)
    return FastFit(booster.model_to_string(), params, scores, history, ablation)


def read_params(text: str) -> dict[str, Any]:
    """The searched parameters of a fast model, from LightGBM's text."""
    stated = dict(re.findall(r"^\[(\w+): (.*)\]$", text, flags=re.MULTILINE))
    return {name: type(default)(float(stated[name])) for name, default in START.items()}


def _ablation(soft_labels: SoftLabels, distilled: dict[str, float], alone: dict[str, float]) -> dict[str, Any]:
    kept = distilled["log_loss"] < alone["log_loss"]
    photos, weight = len(soft_labels.p), soft_labels.weight
    return {"photos": photos, "weight": weight, "with": distilled, "without": alone, "kept": kept}
