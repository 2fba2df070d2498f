"""The metrics of a starter release, by clusters: every photo scored by models that have not seen its cluster."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.fast import FastModel
from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.release_metrics import auto_figures
from cataract.ml.learn.fit.calibrate import HeldOut, calibrate, final_probability, probabilities
from cataract.ml.learn.fit.cross_validation import FOLDS
from cataract.ml.learn.fit.fast import fit_fast
from cataract.ml.learn.starter.clean_set import CONFIDENCE, PREVALENCE, CleanSet, cluster_weights
from cataract.ml.learn.starter.shortcuts import measure_shortcuts
from cataract.ml.statistics import metrics, splits


def measure(
    clean: CleanSet, test: NDArray[np.bool_], held: HeldOut, cascade: Cascade, folder: Path, seed: int
) -> dict[str, Any]:
    """The content of metrics.json, on one photo per cluster, each scored by models that have not seen its cluster.

    Fitted clusters: by models, calibration curves and policy of the other folds. Test clusters: by the release. The
    model figures pool both; `test` is the release alone, gate included.
    """
    unseen = _scored(clean, test, cascade, folder)
    curves = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    one, other = (np.unique(part.clusters, return_index=True)[1] for part in (held, unseen))
    y = np.concatenate([held.y[one], unseen.y[other]])

    fast, accurate, final, auto = _cross_calibrated(held, seed)
    new_fast, new_accurate = probabilities(unseen, curves)
    new_final = final_probability(cascade.manifest.policy, new_fast, new_accurate)
    pooled = {
        "cascade": np.concatenate([final[one], new_final[other]]),
        "fast": np.concatenate([fast[one], new_fast[other]]),
        "accurate": np.concatenate([accurate[one], new_accurate[other]]),
    }
    every, hand_made = _hand_made(clean, seed)
    return {
        **{model: metrics.evaluate(y, p) for model, p in pooled.items()},
        "hand_made": metrics.evaluate(clean.y[every], hand_made[every]),
        "prevalence": float(y.mean()),
        "coverage_at_5_percent_error": metrics.coverage_at_risk(y, pooled["cascade"], 0.05),
        "cross_validated": metrics.evaluate(held.y[one], final[one]),
        "cross_validated_auto": _auto(held.y[one], final[one], auto[one]),
        "test": _test(clean, test, cascade),
        "masked": measure_shortcuts(clean, ~test, folder, seed),
        **auto_figures(cascade.manifest.policy),
    }


def _scored(clean: CleanSet, chosen: NDArray[np.bool_], cascade: Cascade, folder: Path) -> HeldOut:
    """The raw scores of the chosen photos by the release, without its gate."""
    rows = np.flatnonzero(chosen)
    model = FastModel((folder / "fast.txt").read_text(encoding="utf-8"), dim=clean.vectors.shape[1])
    accurate = [cascade.accurate_score(clean.pixels[row], clean.pupils[row]) for row in rows]
    scores = np.array(accurate, dtype=np.float32)
    return HeldOut(model.score(clean.vectors[rows]), scores, clean.y[rows], clean.clusters[rows], "")


def _cross_calibrated(held: HeldOut, seed: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """(fast, accurate, final probabilities, decided automatically), (N,) each, by curves and policy of other folds."""
    fold_of = splits.folds(held.clusters.tolist(), held.y.tolist(), FOLDS, seed + 1)
    fast, accurate, final = (np.zeros(len(held.y)) for _ in range(3))
    auto = np.zeros(len(held.y), dtype=bool)
    for fold in range(FOLDS):
        own = np.flatnonzero(fold_of == fold)
        others = held.take(np.flatnonzero(fold_of != fold))
        curves, policy = calibrate(others, RiskLimits(confidence=CONFIDENCE), PREVALENCE)
        fast[own], accurate[own] = probabilities(held.take(own), curves)
        final[own] = final_probability(policy, fast[own], accurate[own])
        auto[own] = (final[own] < policy["auto"]["normal_below"]) | (final[own] > policy["auto"]["cataract_above"])
    return fast, accurate, final, auto


def _auto(y: NDArray[np.int64], p: NDArray[np.float64], auto: NDArray[np.bool_]) -> dict[str, Any]:
    wrong = int(((p >= 0.5) != (y == 1))[auto].sum())
    low, high = metrics.wilson(wrong, int(auto.sum()))
    return {"decided": int(auto.sum()), "of": len(y), "wrong": wrong, "error_low": low, "error_high": high}


def _hand_made(clean: CleanSet, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The baseline, LightGBM on the hand-crafted features alone: (first photo of each cluster, out-of-fold probability
    of every photo, calibrated across folds)."""
    y, clusters = clean.y, clean.clusters
    x = clean.vectors[:, clean.spec.embedding_dim * len(clean.spec.views) :]
    fit = fit_fast(x, y, clusters, cluster_weights(clusters), trials=10, seconds=float("inf"), seed=seed)
    scores = HeldOut(fit.oof_scores, fit.oof_scores, y, clusters, "")
    return np.unique(clusters, return_index=True)[1], _cross_calibrated(scores, seed)[0]


def _test(clean: CleanSet, test: NDArray[np.bool_], cascade: Cascade) -> dict[str, Any]:
    """The release on unseen clusters. A photo that the gate refused counts in `ungradable` only."""
    rows = np.flatnonzero(test)
    rows = rows[np.unique(clean.clusters[rows], return_index=True)[1]]
    outcomes = [cascade.predict([clean.pixels[row]])[0] for row in rows]
    p = [0.5 if outcome.probability is None else outcome.probability for outcome in outcomes]
    report = metrics.evaluate(clean.y[rows], p, [outcome.decision for outcome in outcomes])
    auto = np.array([not outcome.needs_review for outcome in outcomes])
    return {**report, "auto": _auto(clean.y[rows], np.array(p), auto)}
