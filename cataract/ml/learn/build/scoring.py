"""The accurate model's scores of stored photos: a cache keeps them from one build to the next by the same model."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.fit.checkpoint import load_arrays, save_arrays
from cataract.ml.learn.fit.fast import ask
from cataract.ml.photos import images


class Scorer:
    """Scores by the accurate model of `cascade`.

    `cache`: a file that `save` writes anew, with the photos that were asked for and no others: a photo that was
    withdrawn leaves it. A retraining of the fast model alone finds in it all that the last one computed.
    """

    def __init__(self, cascade: Cascade, cache: Path | None) -> None:
        self._cascade, self._cache = cascade, cache
        manifest = cascade.manifest
        self._model = json.dumps(
            [cascade.encoder_hash, manifest.files["accurate.onnx"], manifest.accurate], sort_keys=True
        )
        self._known, self._asked = self._load(), dict[str, float]()

    def __call__(
        self, paths: Sequence[Path], sha256s: Sequence[str], should_stop: Callable[[], bool] = lambda: False
    ) -> Floats:
        """Raw scores (log-odds), (N,) float32. Raises Cancelled."""
        for path, sha256 in zip(paths, sha256s, strict=True):
            ask(should_stop)
            found = self._known.get(sha256)
            if found is None:
                found = self._cascade.accurate_score(images.decode(path.read_bytes()))
            self._known[sha256] = self._asked[sha256] = float(found)
        return np.array([self._asked[sha256] for sha256 in sha256s], dtype=np.float32)

    def save(self) -> None:
        if self._cache is None or not self._asked:
            return
        self._cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scores = np.array(list(self._asked.values()), dtype=np.float64)
        arrays = {"model": np.array(self._model), "sha256s": np.array(list(self._asked)), "scores": scores}
        save_arrays(self._cache, arrays)

    def _load(self) -> dict[str, float]:
        arrays = load_arrays(self._cache) if self._cache else None
        if arrays is None or str(arrays["model"]) != self._model:
            return {}
        return dict(zip(arrays["sha256s"].tolist(), arrays["scores"].tolist(), strict=True))
