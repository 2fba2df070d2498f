"""Scores of the accurate model on stored photos, cached from one build to the next with the same model."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.checkpoint import load_arrays, save_arrays
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import images


class ScoreCache:
    """Scores photos with the accurate model of `cascade`, and keeps the scores in the file `path`.

    `save` keeps exactly the photos that were scored: a photo that is not trained on leaves the file. A retraining
    of the fast model alone finds all scores of the last one.
    """

    def __init__(self, cascade: Cascade, path: Path | None) -> None:
        self._cascade, self._path = cascade, path
        manifest = cascade.manifest
        graph = manifest.files["accurate.onnx"].as_json()
        self._model = json.dumps([cascade.encoder_hash, graph, manifest.accurate.as_json()], sort_keys=True)
        self._cached, self._used = self._load(), dict[str, float]()

    def scores(self, paths: Sequence[Path], sha256s: Sequence[str], reporter: Reporter = SILENT) -> Floats:
        """Raw scores (log-odds), (N,) float32. Raises Cancelled."""
        for path, sha256 in zip(paths, sha256s, strict=True):
            reporter.check_stop()
            score = self._cached.get(sha256)
            if score is None:
                score = self._cascade.accurate_score(images.decode(path.read_bytes()))
            self._cached[sha256] = self._used[sha256] = float(score)
        return np.array([self._used[sha256] for sha256 in sha256s], dtype=np.float32)

    def save(self) -> None:
        if self._path is None or not self._used:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scores = np.array(list(self._used.values()), dtype=np.float64)
        arrays = {"model": np.array(self._model), "sha256s": np.array(list(self._used)), "scores": scores}
        save_arrays(self._path, arrays)

    def _load(self) -> dict[str, float]:
        arrays = load_arrays(self._path) if self._path else None
        if arrays is None or str(arrays["model"]) != self._model:
            return {}
        return dict(zip(arrays["sha256s"].tolist(), arrays["scores"].tolist(), strict=True))
