"""The gate: is the photo good enough, and is it an external photo of an eye?

gate.json, made by `fit_gate`:

quality  {"dark", "bright", "burnt", "blank", "blurred": limits of `quality.Quality`, beyond which a photo is refused;
          "unsharp", "short_side" (pixels), "colour": limits below which it is graded and a clinician reviews it}
ood      {"of": "embedding" (of the first view) | "handmade" (module `features`) | "features" (the fast model's input),
          "mean": [D], "spread": [D], "axes": [[D] * k], "scale": [k], "residual": r,
          "soft": s, "hard": h}
         Distance: sqrt of the mean of (the mean squared score on k principal axes) and (the squared length of what the
         axes leave over, where r is usual): a usual eye has about 1. Mahalanobis' distance on the main axes
         (Lee et al. 2018) with the residual of ViM (Wang et al. 2022). Beyond `soft` a clinician reviews the photo,
         beyond `hard` it is refused, unless the eye check below is sure that it shows an eye: the statistics come from
         few eyes, and an unusual one (a slit-lamp close-up, say) is far from them and still an eye.
eye      {"weights": [features.LENGTH + layout.LENGTH], "bias": b, "soft": s, "hard": h}; made by `learn.eyecheck`
         Log-odds of an eye against synthetic outliers. Below `soft` a clinician reviews it, below `hard` the photo is
         refused; from `soft` on it is sure. Older releases lack it; their gate uses the distance alone.
other    {"weights": [E * views], "bias": b, "limit": l}, on the embeddings of all views
         Log-odds that another condition shows, such as a red or a yellow eye. From `limit` on a clinician reviews the
         photo. Older releases lack it, and so does a release with another encoder than the starter's.

The others prefer hand-crafted features: those do not depend on the encoder, and stay valid when it changes.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cataract.ml.arrays import Floats, finite_or_none
from cataract.ml.encoding import features, layout
from cataract.ml.labels import Advice
from cataract.ml.photos.quality import Quality

# On the starter's clean set sharpness is at least 0.078 and brightness at least 0.21; out of focus (sigma 8 at 320 px,
# with sensor noise) sharpness is at most 0.048. Of the eyes cut from selfies one in eleven lies between. Colour photos
# of eyes have a mean saturation of at least 0.078, near-infrared ones 0.
QUALITY_LIMITS = {
    "dark": 0.06,
    "bright": 0.93,
    "burnt": 0.75,
    "blank": 0.03,
    "blurred": 0.05,
    "unsharp": 0.065,
    "short_side": 96,
    "colour": 0.05,
}


@dataclass(frozen=True)
class EyeCheck:
    """The linear rule that tells eyes from synthetic outliers."""

    weights: NDArray[np.float64]
    bias: float
    soft: float
    hard: float

    @classmethod
    def from_json(cls, eye: Mapping[str, Any]) -> "EyeCheck":
        """Parse the rule in gate.json. Raises ValueError or KeyError when it is malformed."""
        weights = np.asarray(eye["weights"], dtype=np.float64)
        if weights.shape != (features.LENGTH + layout.LENGTH,):
            raise ValueError("The weights of the eye check do not fit the features.")
        return cls(weights, float(eye["bias"]), float(eye["soft"]), float(eye["hard"]))

    def score(self, vector: Floats) -> float:
        """Log-odds of an eye; vector: hand-crafted features, then the layout."""
        return float(self.weights @ vector + self.bias)


@dataclass(frozen=True)
class OtherFinding:
    """The linear rule that tells whether another condition shows."""

    weights: NDArray[np.float64]
    bias: float
    limit: float

    @classmethod
    def from_json(cls, other: Mapping[str, Any]) -> "OtherFinding":
        """Parse the rule in gate.json. Raises ValueError or KeyError when it is malformed."""
        return cls(np.asarray(other["weights"], dtype=np.float64), float(other["bias"]), float(other["limit"]))

    def score(self, embeddings: Floats) -> float:
        """Log-odds of another condition; embeddings: of all views, one after the other."""
        return float(self.weights @ embeddings + self.bias)


@dataclass(frozen=True)
class Likeness:
    """A photo's distance from usual eyes (about 1 for a usual one), the log-odds that it is an eye, and those that
    another condition shows on it; None where the release has no such rule."""

    distance: float
    eye_score: float | None
    other_score: float | None = None


@dataclass(frozen=True)
class Gate:
    """The limits of one release."""

    quality: dict[str, float]
    space: str
    mean: Floats
    spread: Floats
    axes: Floats
    scale: Floats
    residual: float
    soft: float
    hard: float
    eye: EyeCheck | None = None
    other: OtherFinding | None = None

    @classmethod
    def from_json(cls, gate: Mapping[str, Any]) -> "Gate":
        """Parse gate.json. Raises ValueError or KeyError when it is malformed."""
        ood = gate["ood"]
        mean, spread, axes, scale = (np.asarray(ood[key], np.float32) for key in ("mean", "spread", "axes", "scale"))
        if mean.shape != spread.shape or axes.shape != (len(scale), len(mean)) or ood["of"] not in SPACES:
            raise ValueError("The out-of-distribution statistics do not fit together.")
        limits = {"colour": 0.0, "unsharp": 0.0} | gate["quality"]  # older releases lack these
        quality = {key: float(limits[key]) for key in QUALITY_LIMITS}
        residual, soft, hard = (float(ood[key]) for key in ("residual", "soft", "hard"))
        eye = EyeCheck.from_json(gate["eye"]) if "eye" in gate else None
        other = OtherFinding.from_json(gate["other"]) if "other" in gate else None
        return cls(quality, ood["of"], mean, spread, axes, scale, residual, soft, hard, eye, other)

    def advice(self, quality: Quality) -> Advice:
        """Why the photo cannot be judged, `Advice.NONE` when it can."""
        limits = self.quality
        if quality.brightness < limits["dark"]:
            return Advice.TOO_DARK
        if quality.brightness > limits["bright"] or quality.saturated > limits["burnt"]:
            return Advice.TOO_BRIGHT
        if quality.contrast < limits["blank"]:
            return Advice.BLANK
        return Advice.BLURRED if quality.sharpness < limits["blurred"] else Advice.NONE

    def is_poor(self, quality: Quality) -> bool:
        """True when the photo is graded but too small or not sharp enough to be trusted without review."""
        return quality.short_side < self.quality["short_side"] or quality.sharpness < self.quality["unsharp"]

    def lacks_colour(self, quality: Quality) -> bool:
        """True for a photo in black and white or near infrared, which is graded and never trusted without review."""
        return quality.colour < self.quality["colour"]

    def finds_other(self, likeness: Likeness) -> bool:
        """True when another condition may show."""
        return self.other is not None and _at_least(likeness.other_score, self.other.limit)

    def refuses(self, likeness: Likeness) -> bool:
        """True when this is not an external photo of an eye; also for NaN."""
        is_near = likeness.distance <= self.hard
        if self.eye is None:
            return not is_near
        needed = self.eye.hard if is_near else self.eye.soft
        return math.isnan(likeness.distance) or not _at_least(likeness.eye_score, needed)

    def doubts(self, likeness: Likeness) -> bool:
        """True when a clinician must check whether it is one."""
        is_near = likeness.distance <= self.soft
        return not (is_near and (self.eye is None or _at_least(likeness.eye_score, self.eye.soft)))

    def distance(self, vector: Floats) -> float:
        """How far from the eyes of the training set: about 1 for a usual eye. vector: (D,) in the gate's space."""
        return float(_distances(vector[None], self.mean, self.spread, self.axes, self.scale, self.residual)[0])


SPACES = ("embedding", "handmade", "features")


def fit_gate(
    vectors: ArrayLike,
    *,
    space: str = "embedding",
    groups: ArrayLike | None = None,
    axes: int = 16,
    soft_quantile: float = 0.97,
    hard_quantile: float = 0.98,
    seed: int = 0,
) -> dict[str, Any]:
    """The content of gate.json without the eye check, from eye photos only.

    vectors: (N, D) of photos of eyes, N >= 20, in the `space`: embeddings of the first view, hand-crafted features, or
    whole inputs of the fast model. groups: cluster of each. The limits are quantiles of the distance of photos that the
    statistics had not seen (five folds by group). `hard` lies 1.4 times farther out than its quantile: rare eyes, as
    in textbooks, are far from usual ones too, and should be doubted, not refused.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if len(x) < 20 or not np.isfinite(x).all() or space not in SPACES:
        raise ValueError(
            f"The gate needs at least 20 finite vectors in one of the spaces {SPACES}; got {x.shape}, {space}."
        )
    cluster = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    fold_of = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)[cluster] % 5
    held_out = np.concatenate(
        [_distances(x[fold_of == fold], *_statistics(x[fold_of != fold], axes)) for fold in range(5)]
    )
    soft, hard = np.quantile(held_out, [soft_quantile, hard_quantile])
    mean, spread, main, scale, residual = _statistics(x, axes)
    ood = {
        "of": space,
        "mean": _rounded(mean),
        "spread": _rounded(spread),
        "axes": [_rounded(axis) for axis in main],
        "scale": _rounded(scale),
        "residual": residual,
        "soft": float(soft),
        "hard": float(max(1.4 * hard, soft)),
    }
    return {"quality": dict(QUALITY_LIMITS), "ood": ood}


def report(quality: Quality, advice: Advice, likeness: Likeness | None) -> dict[str, Any]:
    """The gate's part of an outcome as plain JSON values; NaN and infinity become null."""
    known = likeness or Likeness(math.nan, None)
    return {
        **asdict(quality),
        "advice": advice.value,
        "ood_distance": finite_or_none(known.distance),
        "eye_score": finite_or_none(known.eye_score),
        "other_score": finite_or_none(known.other_score),
    }


def _at_least(score: float | None, limit: float) -> bool:
    return score is not None and score >= limit


def _statistics(
    x: NDArray[np.float64], count: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], float]:
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.maximum(spread, 0.05 * float(np.median(spread)) + 1e-6)
    standard = (x - mean) / spread
    _, singular, axes = np.linalg.svd(standard, full_matrices=False)
    kept = max(1, min(count, len(x) // 5, x.shape[1] - 1))
    scale = np.maximum(singular[:kept] / np.sqrt(len(x)), 1e-3)
    left_over = standard - (standard @ axes[:kept].T) @ axes[:kept]
    return mean, spread, axes[:kept], scale, float(np.sqrt((left_over**2).sum(axis=1).mean())) + 1e-6


def _distances(
    x: NDArray[Any], mean: NDArray[Any], spread: NDArray[Any], axes: NDArray[Any], scale: NDArray[Any], residual: float
) -> NDArray[np.float64]:
    standard = (x - mean) / spread
    scores = standard @ axes.T
    left_over = ((standard - scores @ axes) ** 2).sum(axis=1)
    return np.asarray(np.sqrt((((scores / scale) ** 2).mean(axis=1) + left_over / residual**2) / 2), dtype=np.float64)


def _rounded(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
