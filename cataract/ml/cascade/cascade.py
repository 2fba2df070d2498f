"""Release folder -> Cascade; Cascade.predict(photos) -> outcomes. Read top to bottom.

gate (quality) -> pupil, views -> trunk -> embedding -> gate (an eye at all?) -> fast -> if unsure: accurate -> policy
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.cascade import calibration, gate, policy
from cataract.ml.cascade.accurate import AccurateModel
from cataract.ml.cascade.fast import FastModel
from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import Encoder, prepare
from cataract.ml.encoding.layout import measure_layout
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.photos.quality import Quality, measure_quality
from cataract.ml.release import golden
from cataract.ml.release import manifest as release
from cataract.ml.release.manifest import Manifest, ReleaseCorrupt

_CPU = ("CPUExecutionProvider",)


@dataclass(frozen=True)
class Outcome:
    """What one release says of one photo. Scores are log-odds before calibration, probabilities after; timings in ms.

    decision: a class of `labels`, or `ungradable`, and then there is no probability. route: which models were asked
    ("gate", "fast", "accurate", "fast+accurate"). embedding: the fast model's input (D,), None when the gate refused
    the photo before it was encoded.
    """

    decision: str
    needs_review: bool
    reasons: tuple[str, ...]
    probability: float | None
    fast_score: float | None
    fast_probability: float | None
    accurate_score: float | None
    accurate_probability: float | None
    route: str
    gate: dict[str, Any]
    timings: dict[str, float]
    embedding: Floats | None
    policy_version: str
    release_id: str


@dataclass(frozen=True)
class _Encoded:
    """One photo on its way: its thumbnail, prepared views, what the trunk made of them, the fast model's input (D,)."""

    thumbnail: Pixels
    batch: Floats
    activations: Floats
    vector: Floats


class Cascade:
    """One release, ready to predict. All methods may be called from many threads at once."""

    def __init__(self, folder: Path, manifest: Manifest, *, providers: Sequence[str] = _CPU, threads: int = 1) -> None:
        """Parses the files that `manifest` lists: use `load`, or, while a release is being built, `assemble`."""

        def read(name: str) -> bytes:
            return release.read_file(folder, manifest, name)

        def read_json(name: str) -> dict[str, Any]:
            return dict(json.loads(read(name)))

        self.manifest = manifest
        self.spec = manifest.encoder
        expected = self.spec.embedding_dim * len(self.spec.views) + (features.LENGTH if self.spec.handmade else 0)
        if self.spec.dim != expected:
            raise ValueError(f"the manifest states {self.spec.dim} features, its views give {expected}")
        if self.spec.hash != release.encoder_hash(manifest.files, manifest.encoder):
            raise ValueError("the encoder is not the one that the manifest names")
        self._encoder = Encoder(self.spec, read("trunk.onnx"), read("embed.onnx"), providers=providers, threads=threads)
        self._accurate = AccurateModel(
            manifest.accurate, self.spec, read("accurate.onnx"), providers=providers, threads=threads
        )
        self._fast = FastModel(read("fast.txt").decode(), dim=self.spec.dim)
        self._calibration = read_json("calibration.json")
        self._gate = gate.Gate.of_dict(read_json("gate.json"))
        if len(self._gate.mean) != len(self._gate_input(np.zeros(self.spec.dim, dtype=np.float32))):
            raise ValueError(f"the gate was fitted on {len(self._gate.mean)} numbers, not on this {self._gate.of}")
        self._policy = policy.Policy.of(read_json("policy.json"))
        self._golden = read_json("golden.json") if "golden.json" in manifest.files else None
        for model in ("fast", "accurate"):
            calibration.apply(self._calibration[model], [0.0])

    @classmethod
    def load(cls, folder: Path, *, providers: Sequence[str] = _CPU, threads: int = 1) -> "Cascade":
        """The release in `folder`, verified before anything is parsed. Raises ReleaseCorrupt."""
        return cls.assemble(folder, release.verify(folder), providers=providers, threads=threads)

    @classmethod
    def assemble(
        cls, folder: Path, manifest: Manifest, *, providers: Sequence[str] = _CPU, threads: int = 1
    ) -> "Cascade":
        """A release whose manifest is only drafted (`release.draft_manifest`): to make its golden.json.

        Raises ReleaseCorrupt.
        """
        try:
            return cls(folder, manifest, providers=providers, threads=threads)
        except ReleaseCorrupt:
            raise
        except Exception as error:  # ONNX Runtime and LightGBM raise their own kinds for a file they cannot read
            raise ReleaseCorrupt(f"{folder.name} cannot be loaded: {error}") from error

    @property
    def release_id(self) -> str:
        return self.manifest.id

    @property
    def encoder_hash(self) -> str:
        """Names the embedding space; embeddings of different hashes must not be compared."""
        return self.spec.hash

    def predict(self, photos: Sequence[Pixels], *, mode: str = "cascade") -> list[Outcome]:
        """What the release says of each photo, (H, W, 3) uint8 sRGB, oriented.

        mode: "cascade" asks the accurate model in the unsure band only, "always" asks both, "fast" and "accurate" one.
        Each photo is computed by itself: int8 scales are taken over a batch, so that together with others a photo would
        get another answer. Raises ValueError on an array that is no photo, and on an unknown mode.
        """
        if mode not in policy.MODES:
            raise ValueError(f"There is no mode {mode!r}; there are {', '.join(policy.MODES)}.")
        return [self._predict_one(_checked(photo), mode) for photo in photos]

    def embed(self, photos: Sequence[Pixels]) -> Floats:
        """The fast model's inputs, (N, D) float32, for any photos: the gate is not asked."""
        vectors = [self._encode(_checked(photo), self._look(photo)).vector for photo in photos]
        return np.stack(vectors) if vectors else np.zeros((0, self.spec.dim), dtype=np.float32)

    def accurate_score(self, photo: Pixels, pupil: Pupil | None = None) -> float:
        """The accurate model's raw score of one photo; `pupil` fixes where the pupil view is cut."""
        batch = prepare(_checked(photo), self.spec, pupil)
        return self._accurate.score(self._encoder, batch, self._encoder.activate(batch))

    def make_golden(self, photos: Mapping[str, Pixels], *, tolerance: float = 1e-3) -> dict[str, Any]:
        """The content of golden.json for these photos: see `golden.make_golden`."""
        return golden.make_golden(lambda photo: self.predict([photo], mode="always")[0], photos, tolerance=tolerance)

    def check_golden(self) -> None:
        """Recomputes the release's stored predictions. Raises ReleaseCorrupt when this machine gets other answers."""
        if self._golden is None:
            raise ReleaseCorrupt(f"{self.release_id} has no golden predictions.")
        difference = golden.first_difference(
            self._golden, lambda photo: self._predict_one(_checked(photo), "always"), self._fast.score_range
        )
        if difference:
            raise ReleaseCorrupt(
                f"{self.release_id} answers differently on this machine {difference}. It must not serve here."
            )

    def _predict_one(self, photo: Pixels, mode: str) -> Outcome:
        clock = _Clock()
        quality = measure_quality(photo)
        advice = self._gate.advice(quality)
        if advice:
            return self._refused(policy.refuse("quality"), gate.report(quality, advice, None), None, clock)
        pupil = self._look(photo)
        clock.lap("pupil")
        encoded = self._encode(photo, pupil)
        clock.lap("encode")
        likeness = self._compare(photo, pupil, encoded)
        clock.lap("gate")
        if self._gate.refuses(likeness):
            report = gate.report(quality, "no_eye_found", likeness)
            return self._refused(policy.refuse("out_of_distribution"), report, encoded.vector, clock)
        return self._graded(encoded, quality, likeness, mode, clock)

    def _graded(
        self, encoded: _Encoded, quality: Quality, likeness: gate.Likeness, mode: str, clock: "_Clock"
    ) -> Outcome:
        fast_score = fast = accurate_score = accurate = None
        if mode != "accurate":
            fast_score = float(self._fast.score(encoded.vector[None])[0])
            fast = float(calibration.apply(self._calibration["fast"], [fast_score])[0])
            clock.lap("fast")
        if mode in ("accurate", "always") or (mode == "cascade" and fast is not None and self._is_unsure(fast)):
            accurate_score = self._accurate.score(self._encoder, encoded.batch, encoded.activations)
            accurate = float(calibration.apply(self._calibration["accurate"], [accurate_score])[0])
            clock.lap("accurate")
        verdict = policy.decide(self._policy, fast, accurate, concerns=self._concerns(quality, likeness))
        asked = [name for name, value in (("fast", fast), ("accurate", accurate)) if value is not None]
        return Outcome(
            decision=verdict.decision,
            needs_review=verdict.needs_review,
            reasons=verdict.reasons,
            probability=verdict.probability,
            fast_score=_finite(fast_score),
            fast_probability=_finite(fast),
            accurate_score=_finite(accurate_score),
            accurate_probability=_finite(accurate),
            route="+".join(asked),
            gate=gate.report(quality, "", likeness),
            timings=clock.done(),
            embedding=encoded.vector,
            policy_version=self._policy.version,
            release_id=self.release_id,
        )

    def _refused(
        self, verdict: policy.Verdict, report: dict[str, Any], embedding: Floats | None, clock: "_Clock"
    ) -> Outcome:
        return Outcome(
            decision=verdict.decision,
            needs_review=verdict.needs_review,
            reasons=verdict.reasons,
            probability=None,
            fast_score=None,
            fast_probability=None,
            accurate_score=None,
            accurate_probability=None,
            route="gate",
            gate=report,
            timings=clock.done(),
            embedding=embedding,
            policy_version=self._policy.version,
            release_id=self.release_id,
        )

    def _look(self, photo: Pixels) -> Pupil | None:
        return find_pupil(photo) if self.spec.handmade or "pupil" in self.spec.views else None

    def _encode(self, photo: Pixels, pupil: Pupil | None) -> _Encoded:
        thumbnail = features.make_thumbnail(photo)
        batch = prepare(photo, self.spec, pupil)
        activations = self._encoder.activate(batch)
        parts = [self._encoder.embed(activations).ravel()]
        if self.spec.handmade:
            parts.append(features.extract(photo, pupil, thumbnail))
        return _Encoded(thumbnail, batch, activations, np.concatenate(parts))

    def _compare(self, photo: Pixels, pupil: Pupil | None, encoded: _Encoded) -> gate.Likeness:
        """How like an eye the photo is."""
        distance = self._gate.distance(self._gate_input(encoded.vector))
        if self._gate.eye is None:
            return gate.Likeness(distance, None)
        handmade = (
            encoded.vector[-features.LENGTH :]
            if self.spec.handmade
            else features.extract(photo, pupil, encoded.thumbnail)
        )
        layout = measure_layout(encoded.thumbnail, pupil)
        return gate.Likeness(distance, self._gate.eye.score(np.concatenate([handmade, layout])))

    def _gate_input(self, vector: Floats) -> Floats:
        match self._gate.of:
            case "embedding":
                return vector[: self.spec.embedding_dim]
            case "handmade":
                return vector[-features.LENGTH :]
            case _:
                return vector

    def _is_unsure(self, fast: float) -> bool:
        return policy.is_unsure(self._policy, fast)

    def _concerns(self, quality: Quality, likeness: gate.Likeness) -> tuple[str, ...]:
        concerns = (("quality", self._gate.is_small(quality)), ("out_of_distribution", self._gate.doubts(likeness)))
        return tuple(reason for reason, holds in concerns if holds)


def _checked(photo: Pixels) -> Pixels:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or min(photo.shape[:2]) < 1:
        raise ValueError(f"A photo is an (H, W, 3) uint8 array; this is {photo.shape} {photo.dtype}.")
    return photo


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class _Clock:
    """Laps in milliseconds."""

    def __init__(self) -> None:
        self._start = self._lap = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = round(1000 * (now - self._lap), 3)
        self._lap = now

    def done(self) -> dict[str, float]:
        return self._laps | {"total": round(1000 * (time.perf_counter() - self._start), 3)}
