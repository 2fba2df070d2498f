"""Fit the gate of a release: distances to usual eyes, and the classifier of eyes against outliers.

Never imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.cascade.gate import fit_gate
from cataract.ml.encoding import features, layout
from cataract.ml.encoding.framing import Framing
from cataract.ml.encoding.layout import measure_layout
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.starter.gate.linear_rule import fit_linear_rule, rounded
from cataract.ml.learn.starter.gate.outliers import draw_outliers
from cataract.ml.statistics.splits import cluster_weights
from cataract.ml.synthetic import render_eye

OUTLIERS = 2000
_EYES_WEIGH = 5.0  # a cluster of eyes counts as so many outliers
_OTHERS_WEIGH = 0.1  # of offline augmentations: their edges come from no camera
_DRAWN, _DRAWN_WEIGH = 150, 0.5  # synthetic eyes with open lids: being drawn must not make an outlier
_STRENGTH = 0.005  # scikit-learn's C, of {0.005, 0.05}: the same on sources that were left out
_REAL_WEIGH = 3.0  # a photo of something else counts as so many drawn outliers
_REFUSED, _DOUBTED = 0.01, 0.05  # shares of held-out eyes below the limits
_AS_IT_COMES = Framing()


@dataclass(frozen=True)
class _Part:
    """A part of the stage, from `low` to `high` of it."""

    reporter: Reporter
    low: float
    high: float
    message: str

    def report(self, fraction: float) -> None:
        self.reporter.progress("gate", self.low + (self.high - self.low) * fraction, self.message)


@dataclass(frozen=True)
class _Samples:
    x: Floats
    is_eye: NDArray[np.bool_]
    weights: NDArray[np.float64]

    def and_eyes(self, x: Floats, clusters: NDArray[np.int64]) -> "_Samples":
        """These and eyes, (N, D), each cluster of which weighs the same."""
        weights = _EYES_WEIGH * cluster_weights(clusters)
        return _Samples(
            np.concatenate([self.x, x]),
            np.concatenate([self.is_eye, np.ones(len(x), dtype=bool)]),
            np.concatenate([self.weights, weights]),
        )


def fit_photo_gate(
    eyes: Sequence[Pixels],
    clusters: NDArray[np.int64],
    *,
    framing: Framing = _AS_IT_COMES,
    others: Sequence[Pixels] = (),
    strange: Sequence[Pixels] = (),
    outliers: int = OUTLIERS,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> dict[str, Any]:
    """The whole content of gate.json, the same for every encoder.

    eyes: framed photos (H, W, 3) uint8 with their clusters (N,), N >= 20; framing: of the release; others: further
    photos of eyes, augmented offline, which count little; strange: photos of anything else; outliers: how many more are
    drawn. The limits are quantiles over eyes whose cluster was left out (five folds, one photo a cluster): see
    `_REFUSED` and `_DOUBTED`, and `gate.fit_gate`.
    """
    described = _describe(eyes, _Part(reporter, 0.0, 0.2, "describing photos of eyes"))
    statistics = fit_gate(described[:, : features.LENGTH], space="handmade", groups=clusters, seed=seed)
    known = _known(eyes, framing, others, strange, outliers, seed, reporter)
    reporter.progress("gate", 0.9, "telling eyes from outliers")
    soft, hard = np.quantile(_held_out(described, clusters, known, seed), [_DOUBTED, _REFUSED])
    weights, bias = _fit(known.and_eyes(described, clusters))
    eye = {"weights": rounded(weights), "bias": bias, "soft": float(soft), "hard": float(hard)}
    return {**statistics, "eye": eye}


def _known(
    eyes: Sequence[Pixels],
    framing: Framing,
    others: Sequence[Pixels],
    strange: Sequence[Pixels],
    outliers: int,
    seed: int,
    reporter: Reporter,
) -> _Samples:
    """The samples of every fold: outliers, photos of other things, augmented photos of eyes, synthetic eyes."""
    drawn = draw_outliers(outliers, seed=seed, eyes=eyes)
    opened = [
        render_eye(5000 + index, opacity=index % 5 / 4, size=(96, 160, 320, 480)[index % 4]) for index in range(_DRAWN)
    ]
    pictures = [framing.cut(picture) for picture in (*drawn, *strange, *others, *opened)]
    x = _describe(pictures, _Part(reporter, 0.2, 0.9, "describing outliers"))
    weights = np.repeat(
        [1.0, _REAL_WEIGH, _OTHERS_WEIGH, _DRAWN_WEIGH], [len(drawn), len(strange), len(others), len(opened)]
    )
    return _Samples(x, np.arange(len(x)) >= len(drawn) + len(strange), weights)


def _describe(photos: Sequence[Pixels], part: _Part) -> Floats:
    """Hand-crafted features and layout of each photo, (N, features.LENGTH + layout.LENGTH)."""
    rows = np.zeros((len(photos), features.LENGTH + layout.LENGTH), dtype=np.float32)
    for index, photo in enumerate(photos):
        pupil = find_pupil(photo)
        thumbnail = features.make_thumbnail(photo)
        handmade = features.extract(photo, pupil, thumbnail)
        rows[index] = np.concatenate([handmade, measure_layout(thumbnail, pupil)])
        if index % 100 == 0:
            part.report(index / len(photos))
    return rows


def _held_out(x: Floats, clusters: NDArray[np.int64], known: _Samples, seed: int) -> NDArray[np.float64]:
    """The log-odds of the first photo of each cluster, by a rule that did not see its cluster."""
    cluster = np.unique(clusters, return_inverse=True)[1]
    fold_of = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)[cluster] % 5
    scores = np.zeros(len(cluster))
    for fold in range(5):
        weights, bias = _fit(known.and_eyes(x[fold_of != fold], cluster[fold_of != fold]))
        scores[fold_of == fold] = x[fold_of == fold] @ weights + bias
    return scores[np.unique(cluster, return_index=True)[1]]


def _fit(samples: _Samples) -> tuple[NDArray[np.float64], float]:
    return fit_linear_rule(samples.x, samples.is_eye, samples.weights, LogisticRegression(C=_STRENGTH, max_iter=500))
