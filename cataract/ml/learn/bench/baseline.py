"""The plain pipeline, the baseline of `manage.py bench`: the straightforward correct implementation.

PIL decodes the whole photo, open_clip's own transform prepares it, two complete torch encoders run one after the
other, and the fast model runs through LightGBM's scikit-learn wrapper. The views and the hand-crafted features are
those of the release: both pipelines compute the same numbers.
"""

import copy
import io
from typing import Any

import numpy as np
import torch
from lightgbm import LGBMClassifier
from open_clip.transform import image_transform
from PIL import Image, ImageOps
from torch import nn

from cataract.ml.arrays import Floats
from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import EncoderSpec, cut_views
from cataract.ml.encoding.framing import Framing
from cataract.ml.encoding.pupil import find_pupil


class PlainWay:
    """Two torch encoders and a scikit-learn classifier; may be called from many threads at once."""

    def __init__(
        self, model: nn.Module, spec: EncoderSpec, classifier: LGBMClassifier, framing: Framing | None = None
    ) -> None:
        """model: the open_clip model of the release; classifier: fitted on spec.dim features; framing: the release's,
        none by default."""
        self._spec, self._framing = spec, framing or Framing()
        self._fast: Any = model.eval()
        self._accurate: Any = copy.deepcopy(model).eval()
        self._head = nn.Linear(spec.embedding_dim, 1).eval()
        self._classifier: Any = classifier
        self._transform: Any = image_transform(
            spec.image_size,
            is_train=False,
            mean=spec.mean,
            std=spec.std,
            resize_mode=spec.resize_mode,
            interpolation=spec.interpolation,
        )

    def __call__(self, data: bytes) -> Floats:
        """A photo file through both models; returns the embedding of its views, (V * E,), to compare."""
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)).convert("RGB"))
        pixels = self._framing.cut(np.asarray(image, dtype=np.uint8))
        needs_pupil = self._spec.handmade or "pupil" in self._spec.views
        pupil = find_pupil(pixels) if needs_pupil else None
        views = cut_views(pixels, self._spec.views, pupil)
        batch = torch.stack([self._transform(Image.fromarray(view)) for view in views])
        with torch.inference_mode():
            embedding = self._fast.encode_image(batch, normalize=True).numpy().ravel()
            float(self._head(self._accurate.encode_image(batch, normalize=True)).mean())
        vector = np.concatenate([embedding, features.extract(pixels, pupil)]) if self._spec.handmade else embedding
        self._classifier.predict_proba(vector[None])
        return np.asarray(embedding, dtype=np.float32)


def fit_classifier(dim: int, *, trees: int, threads: int = 1, seed: int = 0) -> LGBMClassifier:
    """LightGBM's scikit-learn wrapper fitted on noise, (200, dim), with at most `trees` trees: as fast as real ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, dim)).astype(np.float32)
    classifier = LGBMClassifier(
        n_estimators=trees, num_leaves=8, colsample_bytree=0.1, n_jobs=threads, random_state=seed, verbosity=-1
    )
    return classifier.fit(x, rng.integers(0, 2, size=200))
