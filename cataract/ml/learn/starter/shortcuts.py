"""Shortcut learning: the ROC-AUC of the models on photos whose pupil, or everything else, is hidden."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, at_most
from cataract.ml.encoding.cover import cover
from cataract.ml.encoding.pupil import Pupil
from cataract.ml.learn.accurate.augment import transplant
from cataract.ml.learn.fast.cross_validation import FOLDS, CrossValidation
from cataract.ml.learn.fast.fit import read_params
from cataract.ml.learn.starter.clean_set import AugmentedSet, CleanSet, Embedder
from cataract.ml.statistics import metrics, splits

_SIDE = 400  # of photos that an eye is moved between


def measure_shortcuts(clean: CleanSet, home: str, folder: Path, seed: int) -> dict[str, Any]:
    """ROC-AUC of both models, one photo a cluster of the source `home`, the fast model out of fold.

    clean: the photos that the fast model was fitted on. Keys: `pupil_covered`, `all_but_pupil_covered`, and
    `other_surroundings` (the eye set into a photo of the other class, so that lids, skin and light speak for the wrong
    answer); the same with `_accurate` for the accurate model.
    """
    rows = np.flatnonzero(clean.sources == home)
    one = np.unique(clean.clusters[rows], return_index=True)[1]
    figures = {}
    for name, changed in _changed(clean, rows, seed).items():
        fast, accurate = _scores(clean, rows, changed, folder, seed)
        for key, scores in ((name, fast), (f"{name}_accurate", accurate)):
            figures[key] = metrics.evaluate(clean.y[rows][one], _squash(scores[one]))["roc_auc"]
    return figures


def _changed(clean: CleanSet, rows: NDArray[np.int64], seed: int) -> dict[str, list[tuple[Pixels, Pupil | None]]]:
    covered, alone = (
        [(cover(clean.pixels[row], clean.pupils[row], outside=outside), clean.pupils[row]) for row in rows]
        for outside in (False, True)
    )
    rng = np.random.default_rng(seed)
    moved = [_set_elsewhere(clean, int(row), rows, rng) for row in rows]
    return {"pupil_covered": covered, "all_but_pupil_covered": alone, "other_surroundings": moved}


def _set_elsewhere(
    clean: CleanSet, row: int, rows: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Pixels, Pupil | None]:
    """The eye transplanted into a photo of the other class, where both pupils are sure; else the photo itself."""
    pupil = clean.pupils[row]
    sure = [other for other in rows if (place := clean.pupils[other]) is not None and place.is_sure]
    others = [other for other in sure if clean.y[other] != clean.y[row]]
    if pupil is None or not pupil.is_sure or not others:
        return clean.pixels[row], pupil
    other = int(rng.choice(others))
    place = clean.pupils[other]
    assert place is not None
    photo = transplant(at_most(clean.pixels[row], _SIDE), pupil, at_most(clean.pixels[other], _SIDE), place, rng)
    return photo, place


def _scores(
    clean: CleanSet, rows: NDArray[np.int64], photos: list[tuple[Pixels, Pupil | None]], folder: Path, seed: int
) -> tuple[Floats, Floats]:
    """(fast, accurate) log-odds of changed photos of the rows, (N,) each."""
    embed = Embedder(folder, clean.spec)
    data = AugmentedSet.of(clean)
    vectors = clean.vectors.copy()
    vectors[rows] = np.stack([embed(photo, pupil) for photo, pupil in photos])
    inputs = np.tile(vectors, (len(data.y) // len(vectors), 1))
    params = read_params((folder / "fast.txt").read_text(encoding="utf-8"))
    fold_of = splits.folds(data.clusters.tolist(), data.y.tolist(), FOLDS, seed)
    fast = CrossValidation(data.x, data.y, data.weights, fold_of, seed).scores(params, inputs=inputs)[rows]
    return fast, np.array([embed.score(photo, pupil) for photo, pupil in photos], dtype=np.float32)


def _squash(scores: Floats) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))))
