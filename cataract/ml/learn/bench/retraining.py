"""The duration of a retraining of the fast model on cached embeddings: search, fit, scores, thresholds."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.calibrate import HeldOut, calibrate
from cataract.ml.learn.fast.fit import fit_fast
from cataract.ml.learn.reporter import SilentReporter
from cataract.ml.learn.vectors.rehearsal import Rehearsal
from cataract.ml.release.manifest import verify


@dataclass(frozen=True)
class Retraining:
    """seconds: wall time; processor_seconds: processor time, little affected by other load."""

    photos: int
    inputs: int
    trials: int
    pruned: int
    seconds: float
    processor_seconds: float
    cores: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _TrialReporter(SilentReporter):
    def __init__(self, trials: int, say: Callable[[str], Any]) -> None:
        self._trials, self._say = trials, say

    def metric(self, values: Mapping[str, Any], step: int) -> None:
        if "trial" in values:
            self._say(f"trial {step + 1} of {self._trials}: {values['seconds']:.1f} s")


def measure_retraining(folder: Path, *, photos: int, trials: int, say: Callable[[str], Any]) -> Retraining:
    """Retrain on `photos` embeddings in clusters of two, resampled from the rehearsal set of the release in `folder`
    with noise and one wrong label in twenty. Raises ValueError when it has no rehearsal set, ReleaseCorrupt.
    """
    known = Rehearsal.load(folder, verify(folder).encoder.dim)
    if not len(known.y):
        raise ValueError("This release has no rehearsal set to measure with. Measure with the starter release.")
    rng = np.random.default_rng(0)
    rows = rng.integers(len(known.y), size=photos)
    noise = rng.normal(scale=0.5 * known.vectors.std(axis=0), size=(photos, known.vectors.shape[1]))
    x = (known.vectors[rows] + noise).astype(np.float32)
    y = np.where(rng.random(photos) < 0.05, 1 - known.y[rows], known.y[rows])
    clusters = np.arange(photos) // 2

    started, worked = time.monotonic(), time.process_time()
    fit = fit_fast(x, y, clusters, trials=trials, seconds=float("inf"), reporter=_TrialReporter(trials, say))
    calibrate(HeldOut(fit.oof_scores, fit.oof_scores, y, clusters, ""), RiskLimits())
    return Retraining(
        photos=photos,
        inputs=x.shape[1],
        trials=trials,
        pruned=sum(trial["pruned"] for trial in fit.trials),
        seconds=round(time.monotonic() - started, 1),
        processor_seconds=round(time.process_time() - worked, 1),
        cores=os.cpu_count() or 1,
    )
