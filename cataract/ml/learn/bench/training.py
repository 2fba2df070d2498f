"""How long a retraining of the fast model takes once the photos have been read: search, fit, scores, thresholds."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cataract.ml.learn.build.rehearsal import Rehearsal
from cataract.ml.learn.fit.calibrate import HeldOut, calibrate
from cataract.ml.learn.fit.fast import fit_fast
from cataract.ml.release.manifest import verify


@dataclass(frozen=True)
class Retraining:
    """seconds: by the clock; processor_seconds: of work, which a busy machine does not lengthen as much."""

    photos: int
    inputs: int
    trials: int
    given_up: int
    seconds: float
    processor_seconds: float
    cores: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure_retraining(folder: Path, *, photos: int, trials: int, say: Callable[[str], Any]) -> Retraining:
    """Retrain on `photos` embeddings like those that the release in `folder` remembers (drawn again, with noise, one
    label in twenty wrong), in clusters of two. Raises ValueError when it remembers none, ReleaseCorrupt.
    """
    known = Rehearsal.load(folder, int(verify(folder).encoder["dim"]))
    if not len(known.y):
        raise ValueError("This release remembers no embeddings to measure with. Measure with the starter release.")
    rng = np.random.default_rng(0)
    rows = rng.integers(len(known.y), size=photos)
    noise = rng.normal(scale=0.5 * known.vectors.std(axis=0), size=(photos, known.vectors.shape[1]))
    x = (known.vectors[rows] + noise).astype(np.float32)
    y = np.where(rng.random(photos) < 0.05, 1 - known.y[rows], known.y[rows])
    clusters = np.arange(photos) // 2

    def told(trial: dict[str, Any]) -> None:
        say(f"trial {trial['trial'] + 1} of {trials}: {trial['seconds']:.1f} s")

    started, worked = time.monotonic(), time.process_time()
    fit = fit_fast(x, y, clusters, trials=trials, seconds=float("inf"), on_trial=told)
    calibrate(HeldOut(fit.oof_scores, fit.oof_scores, y, clusters, ""), max_error=0.05, confidence=0.95)
    return Retraining(
        photos=photos,
        inputs=x.shape[1],
        trials=trials,
        given_up=sum(trial["pruned"] for trial in fit.trials),
        seconds=round(time.monotonic() - started, 1),
        processor_seconds=round(time.process_time() - worked, 1),
        cores=os.cpu_count() or 1,
    )
