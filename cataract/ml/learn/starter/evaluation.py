"""The metrics of a starter release on its clean set, by clusters: every photo scored by models that have not seen its
cluster. For the other sources see `left_out`."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.calibrate import HeldOut, calibrate, final_probability, probabilities
from cataract.ml.learn.build.release_metrics import auto_figures
from cataract.ml.learn.fast.cross_validation import FOLDS
from cataract.ml.learn.fast.fit import fit_fast
from cataract.ml.learn.starter.clean_set import PREVALENCE, CleanSet
from cataract.ml.learn.starter.models import Models
from cataract.ml.learn.starter.shortcuts import measure_shortcuts
from cataract.ml.statistics import metrics, splits


def measure(models: Models, held: HeldOut, cascade: Cascade, limits: RiskLimits, seed: int) -> dict[str, Any]:
    """The content of metrics.json about the clean set, on one photo per cluster, each scored by models that have not
    seen its cluster.

    models: those of the release; held: the scores that it was calibrated on, those of the clean set first. Fitted
    clusters: by models, calibration curves and policy of the other folds. Test clusters: by the release. The model
    figures pool both; `test` is the release alone, gate included.
    """
    clean, own = models.clean, models.fitted & models.at_home
    unseen = _scored(models, cascade)
    curves = json.loads((models.folder / "calibration.json").read_text(encoding="utf-8"))
    home = held.take(np.arange(int(own.sum())))
    one, other = (np.unique(part.clusters, return_index=True)[1] for part in (home, unseen))
    y = np.concatenate([home.y[one], unseen.y[other]])

    size = len(home.y)
    fast, accurate, final, auto = _cross_calibrated(held, limits, seed)
    fast, accurate, final, auto = fast[:size], accurate[:size], final[:size], auto[:size]
    new_fast, new_accurate = probabilities(unseen, curves)
    new_final = final_probability(cascade.manifest.policy, new_fast, new_accurate)
    pooled = {
        "cascade": np.concatenate([final[one], new_final[other]]),
        "fast": np.concatenate([fast[one], new_fast[other]]),
        "accurate": np.concatenate([accurate[one], new_accurate[other]]),
    }
    return {
        **{model: metrics.evaluate(y, p) for model, p in pooled.items()},
        "hand_made": _hand_made(clean.take(np.flatnonzero(models.at_home)), seed),
        "published_labels": metrics.evaluate(_published(models, own, one, other), pooled["cascade"]),
        "prevalence": float(y.mean()),
        "coverage_at_5_percent_error": metrics.coverage_at_risk(y, pooled["cascade"], 0.05),
        "cross_validated_auto": _auto(home.y[one], final[one], auto[one]),
        "test": _test(models, cascade),
        "masked": measure_shortcuts(clean.take(np.flatnonzero(models.fitted)), models.home, models.folder, seed),
        "effective_rank": effective_rank(clean.vectors[:, : clean.spec.embedding_dim * len(clean.spec.views)]),
        **auto_figures(cascade.manifest.policy),
    }


def _published(
    models: Models, own: NDArray[np.bool_], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The labels before the curation, of the same photos in the same order."""
    published = models.clean.published
    return np.concatenate([published[np.flatnonzero(own)[one]], published[np.flatnonzero(models.test)[other]]])


def effective_rank(vectors: Floats) -> float:
    """The exponential of the entropy of the spectrum of the covariance (Roy and Vetterli 2007); vectors: (N, D)."""
    spectrum = np.linalg.eigvalsh(np.cov(vectors.T.astype(np.float64))).clip(min=0)
    share = spectrum[spectrum > 0] / spectrum.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _scored(models: Models, cascade: Cascade) -> HeldOut:
    """The raw scores of the test photos by the release, without its gate."""
    clean, rows = models.clean, np.flatnonzero(models.test)
    scores = [cascade.accurate_score(clean.pixels[row]) for row in rows]
    accurate = np.array(scores, dtype=np.float32)
    return HeldOut(models.fast_scores(rows), accurate, clean.y[rows], clean.clusters[rows], "")


def _cross_calibrated(
    held: HeldOut, limits: RiskLimits, seed: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """(fast, accurate, final probabilities, decided automatically), (N,) each, by curves and policy of other folds."""
    fold_of = splits.folds(held.clusters.tolist(), held.y.tolist(), FOLDS, seed + 1)
    fast, accurate, final = (np.zeros(len(held.y)) for _ in range(3))
    auto = np.zeros(len(held.y), dtype=bool)
    for fold in range(FOLDS):
        own = np.flatnonzero(fold_of == fold)
        others = held.take(np.flatnonzero(fold_of != fold))
        curves, policy = calibrate(others, limits, PREVALENCE)
        fast[own], accurate[own] = probabilities(held.take(own), curves)
        final[own] = final_probability(policy, fast[own], accurate[own])
        auto[own] = (final[own] < policy["auto"]["normal_below"]) | (final[own] > policy["auto"]["cataract_above"])
    return fast, accurate, final, auto


def _auto(y: NDArray[np.int64], p: NDArray[np.float64], auto: NDArray[np.bool_]) -> dict[str, Any]:
    wrong = int(((p >= 0.5) != (y == 1))[auto].sum())
    low, high = metrics.wilson(wrong, int(auto.sum()))
    return {"decided": int(auto.sum()), "of": len(y), "wrong": wrong, "error_low": low, "error_high": high}


def _hand_made(clean: CleanSet, seed: int) -> dict[str, Any]:
    """The baseline, LightGBM on the hand-crafted features alone, out of fold on one photo per cluster."""
    y, clusters = clean.y, clean.clusters
    x = clean.vectors[:, clean.spec.embedding_dim * len(clean.spec.views) :]
    fit = fit_fast(x, y, clusters, splits.cluster_weights(clusters), trials=10, seconds=float("inf"), seed=seed)
    scores = HeldOut(fit.oof_scores, fit.oof_scores, y, clusters, "")
    one = np.unique(clusters, return_index=True)[1]
    return metrics.evaluate(y[one], _cross_calibrated(scores, RiskLimits(), seed)[0][one])


def _test(models: Models, cascade: Cascade) -> dict[str, Any]:
    """The release on unseen clusters. A photo that the gate refused counts in `ungradable` only."""
    clean, rows = models.clean, np.flatnonzero(models.test)
    rows = rows[np.unique(clean.clusters[rows], return_index=True)[1]]
    outcomes = [cascade.predict([clean.pixels[row]])[0] for row in rows]
    p = [0.5 if outcome.probability is None else outcome.probability for outcome in outcomes]
    report = metrics.evaluate(clean.y[rows], p, [outcome.decision for outcome in outcomes])
    auto = np.array([not outcome.needs_review for outcome in outcomes])
    return {**report, "auto": _auto(clean.y[rows], np.array(p), auto)}
