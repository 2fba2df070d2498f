"""Release folder -> Cascade; Cascade.predict(photos) -> outcomes. Read top to bottom.

framing -> gate (quality) -> pupil, views -> trunk -> embedding -> gate (an eye?) -> fast -> if unsure: accurate
-> policy
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cataract.ml.arrays import Floats, Pixels, finite_or_none
from cataract.ml.cascade import calibration, gate, policy
from cataract.ml.cascade.accurate import AccurateModel
from cataract.ml.cascade.fast import FastModel
from cataract.ml.encoding import features, framing
from cataract.ml.encoding.encoder import Encoder, prepare
from cataract.ml.encoding.framing import Frame, Framing
from cataract.ml.encoding.layout import measure_layout
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.labels import Advice, Decision, Mode, Reason, Route
from cataract.ml.photos.quality import Quality, measure_quality
from cataract.ml.release import golden
from cataract.ml.release import manifest as release
from cataract.ml.release.manifest import Manifest, ReleaseCorrupt

_CPU = ("CPUExecutionProvider",)


@dataclass(frozen=True)
class Outcome:
    """One release's answer for one photo. Scores are log-odds before calibration, probabilities after; timings in ms.

    An ungradable photo has no probability. The route `fast` with an accurate probability: the fast model answered
    alone, and the accurate one only checked it. embedding: the fast model's input (D,), None when the gate refused the
    photo before it was encoded; encoder_hash: its embedding space.
    """

    decision: Decision
    needs_review: bool
    reasons: tuple[Reason, ...]
    probability: float | None
    fast_score: float | None
    fast_probability: float | None
    accurate_score: float | None
    accurate_probability: float | None
    route: Route
    gate: dict[str, Any]
    timings: dict[str, float]
    embedding: Floats | None
    policy_version: str
    release_id: str
    encoder_hash: str

    @property
    def is_checked(self) -> bool:
        """Whether the fast model answered alone and the accurate one was asked as a check."""
        return self.route == Route.FAST and self.accurate_probability is not None


@dataclass(frozen=True)
class _Framed:
    """The photo in a picture: upright, without margins."""

    pixels: Pixels
    thumbnail: Pixels
    pupil: Pupil | None


@dataclass(frozen=True)
class _Seen:
    """One photo before it is encoded: its prepared views (V, 3, S, S), and the time that it has taken."""

    framed: _Framed
    quality: Quality
    views: Floats
    clock: "_Clock"


@dataclass(frozen=True)
class _Encoded:
    """One photo in the cascade: prepared views, the trunk's activations, the fast model's input (D,)."""

    batch: Floats
    activations: Floats
    vector: Floats


class Cascade:
    """One release, ready to predict. All methods may be called from many threads at once."""

    def __init__(self, folder: Path, manifest: Manifest, *, providers: Sequence[str] = _CPU, threads: int = 1) -> None:
        """Parse the files that `manifest` lists. Use `load`, or `assemble` while a release is being built."""

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
        self._framing = Framing.from_json(read_json(framing.FILE)) if framing.FILE in manifest.files else Framing()
        self._gate = gate.Gate.from_json(read_json("gate.json"))
        if len(self._gate.mean) != len(self._gate_input(np.zeros(self.spec.dim, dtype=np.float32))):
            raise ValueError(f"the gate was fitted on {len(self._gate.mean)} numbers, not on this {self._gate.space}")
        if self._gate.other is not None and len(self._gate.other.weights) != self.spec.embedding_dim * len(
            self.spec.views
        ):
            raise ValueError("the gate's rule for other findings was fitted on another encoder's embeddings")
        self._policy = policy.Policy.from_json(read_json("policy.json"))
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
        """A release with a draft manifest (`release.draft_manifest`), to make its golden.json.

        Raises ReleaseCorrupt.
        """
        try:
            return cls(folder, manifest, providers=providers, threads=threads)
        except ReleaseCorrupt:
            raise
        except Exception as error:  # ONNX Runtime and LightGBM raise exceptions of their own for unreadable files
            raise ReleaseCorrupt(f"{folder.name} cannot be loaded: {error}") from error

    @property
    def release_id(self) -> str:
        return self.manifest.id

    @property
    def encoder_hash(self) -> str:
        """Names the embedding space; embeddings of different hashes must not be compared."""
        return self.spec.hash

    @property
    def batches(self) -> bool:
        """Whether photos may be encoded together: not where 8-bit scales are taken over all of them."""
        return not self._encoder.mixes_rows

    def predict(
        self, photos: Sequence[Pixels], *, mode: str = Mode.CASCADE, check_sure: bool = False, together: int = 1
    ) -> list[Outcome]:
        """The release's outcome for each photo, (H, W, 3) uint8 sRGB, oriented. mode: a value of `Mode`.

        check_sure: in mode "cascade", the accurate model also looks at what the fast one is sure of. Answer,
        probability and route stay those of the fast model; where the two disagree, a clinician must review.

        together: up to so many photos go through the encoder at once. A photo's answer never depends on its
        neighbours: a release that does not `batches` computes one after the other. Raises ValueError on an array that
        is not a photo, and on an unknown mode.
        """
        if mode not in list(Mode):
            raise ValueError(f"There is no mode {mode!r}; there are {', '.join(Mode)}.")
        check = check_sure and mode == Mode.CASCADE
        size = together if self.batches else 1
        groups = [photos[start : start + size] for start in range(0, len(photos), size)]
        return [outcome for group in groups for outcome in self._predict_group(group, Mode(mode), check_sure=check)]

    def embed(self, photos: Sequence[Pixels]) -> Floats:
        """The fast model's inputs, (N, D) float32, for any photos: the gate is skipped."""
        framed = [self._look(*self._cut(_checked(photo))) for photo in photos]
        vectors = [self._encode([one], [prepare(one.pixels, self.spec, one.pupil)])[0].vector for one in framed]
        return np.stack(vectors) if vectors else np.zeros((0, self.spec.dim), dtype=np.float32)

    def find_frame(self, picture: Pixels) -> Frame:
        """Which part of an (H, W, 3) picture is judged, and which way up."""
        return self._framing.find(_checked(picture))

    def accurate_score(self, picture: Pixels, frame: Frame | None = None, pupil: Pupil | None = None) -> float:
        """The accurate model's raw score of one picture.

        frame, pupil: what was found on another copy of it, the pupil in the cut photo; found here when not given.
        """
        photo = (frame or self.find_frame(picture)).cut(_checked(picture))
        batch = prepare(photo, self.spec, pupil)
        return self._accurate.score(self._encoder, batch, self._encoder.activate(batch))

    def make_golden(self, photos: Mapping[str, Pixels], *, tolerance: float = 1e-3) -> dict[str, Any]:
        """The content of golden.json for these photos: see `golden.make_golden`."""
        return golden.make_golden(lambda photo: self.predict([photo], mode=Mode.ALWAYS)[0], photos, tolerance=tolerance)

    def check_golden(self) -> None:
        """Recompute the golden predictions. Raises ReleaseCorrupt when this machine gives other answers."""
        if self._golden is None:
            raise ReleaseCorrupt(f"{self.release_id} has no golden predictions.")
        difference = golden.first_difference(
            self._golden, lambda photo: self.predict([photo], mode=Mode.ALWAYS)[0], self._fast.score_range
        )
        if difference:
            raise ReleaseCorrupt(
                f"{self.release_id} answers differently on this machine {difference}. It must not serve here."
            )

    def _predict_group(self, photos: Sequence[Pixels], mode: Mode, *, check_sure: bool) -> list[Outcome]:
        """The outcomes of photos that go through the encoder together; those that the gate refuses first do not."""
        looked = [self._look_at(_checked(photo)) for photo in photos]
        seen = [each for each in looked if isinstance(each, _Seen)]
        encoded = iter(self._encode_seen(seen))
        return [
            self._judge(each, next(encoded), mode, check_sure=check_sure) if isinstance(each, _Seen) else each
            for each in looked
        ]

    def _look_at(self, photo: Pixels) -> "_Seen | Outcome":
        """What is done before the encoder; already the outcome when the photo is too poor for it."""
        clock = _Clock()
        pixels, thumbnail = self._cut(photo)
        clock.lap("frame")
        quality = measure_quality(pixels)
        advice = self._gate.advice(quality)
        if advice:
            return self._refused(policy.refuse(Reason.QUALITY), gate.report(quality, advice, None), None, clock)
        framed = self._look(pixels, thumbnail)
        clock.lap("pupil")
        views = prepare(framed.pixels, self.spec, framed.pupil)
        clock.lap("encode")
        return _Seen(framed, quality, views, clock)

    def _judge(self, seen: _Seen, encoded: _Encoded, mode: Mode, *, check_sure: bool) -> Outcome:
        """What is done after the encoder."""
        clock = seen.clock
        clock.go_on()
        likeness = self._compare(seen.framed, encoded)
        clock.lap("gate")
        if self._gate.refuses(likeness):
            report = gate.report(seen.quality, Advice.NO_EYE_FOUND, likeness)
            return self._refused(policy.refuse(Reason.OUT_OF_DISTRIBUTION), report, encoded.vector, clock)
        outcome = self._graded(encoded, seen.quality, likeness, mode, clock)
        is_sure_alone = outcome.route == Route.FAST and not outcome.needs_review
        return self._check_sure(outcome, encoded, clock) if check_sure and is_sure_alone else outcome

    def _graded(
        self, encoded: _Encoded, quality: Quality, likeness: gate.Likeness, mode: Mode, clock: "_Clock"
    ) -> Outcome:
        fast_score = fast = accurate_score = accurate = None
        if mode != Mode.ACCURATE:
            fast_score = float(self._fast.score(encoded.vector[None])[0])
            fast = float(calibration.apply(self._calibration["fast"], [fast_score])[0])
            clock.lap("fast")
        if mode in (Mode.ACCURATE, Mode.ALWAYS) or (mode == Mode.CASCADE and policy.is_unsure(self._policy, fast)):
            accurate_score, accurate = self._ask_accurate(encoded)
            clock.lap("accurate")
        verdict = policy.decide(self._policy, fast, accurate, concerns=self._concerns(quality, likeness))
        return Outcome(
            decision=verdict.decision,
            needs_review=verdict.needs_review,
            reasons=verdict.reasons,
            probability=verdict.probability,
            fast_score=finite_or_none(fast_score),
            fast_probability=finite_or_none(fast),
            accurate_score=finite_or_none(accurate_score),
            accurate_probability=finite_or_none(accurate),
            route=Route.ACCURATE if fast is None else Route.FAST if accurate is None else Route.BOTH,
            gate=gate.report(quality, Advice.NONE, likeness),
            timings=clock.done(),
            embedding=encoded.vector,
            policy_version=self._policy.version,
            release_id=self.release_id,
            encoder_hash=self.encoder_hash,
        )

    def _check_sure(self, outcome: Outcome, encoded: _Encoded, clock: "_Clock") -> Outcome:
        """A sure outcome of the fast model alone, once the accurate model has looked at the photo too."""
        score, probability = self._ask_accurate(encoded)
        clock.lap("accurate")
        fast = outcome.fast_probability
        disagree = fast is not None and policy.disagree(self._policy, fast, probability)
        return replace(
            outcome,
            needs_review=disagree,
            reasons=(Reason.DISAGREEMENT,) if disagree else (),
            accurate_score=finite_or_none(score),
            accurate_probability=finite_or_none(probability),
            timings=clock.done(),
        )

    def _ask_accurate(self, encoded: _Encoded) -> tuple[float, float]:
        """Score and probability of the accurate model."""
        score = self._accurate.score(self._encoder, encoded.batch, encoded.activations)
        return score, float(calibration.apply(self._calibration["accurate"], [score])[0])

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
            route=Route.GATE,
            gate=report,
            timings=clock.done(),
            embedding=embedding,
            policy_version=self._policy.version,
            release_id=self.release_id,
            encoder_hash=self.encoder_hash,
        )

    def _cut(self, picture: Pixels) -> tuple[Pixels, Pixels]:
        """The photo in a picture, and its thumbnail."""
        frame = self._framing.find(picture)
        return frame.cut(picture), frame.thumbnail

    def _look(self, photo: Pixels, thumbnail: Pixels) -> _Framed:
        needed = self.spec.handmade or "pupil" in self.spec.views
        return _Framed(photo, thumbnail, find_pupil(photo) if needed else None)

    def _encode_seen(self, seen: Sequence[_Seen]) -> list[_Encoded]:
        """All photos in one run of the encoder; each clock takes its share of it."""
        if not seen:
            return []
        started = time.perf_counter()
        encoded = self._encode([each.framed for each in seen], [each.views for each in seen])
        for each in seen:
            each.clock.add("encode", (time.perf_counter() - started) / len(seen))
        return encoded

    def _encode(self, framed: Sequence[_Framed], views: Sequence[Floats]) -> list[_Encoded]:
        count = len(self.spec.views)
        activations = self._encoder.activate(views[0] if len(views) == 1 else np.concatenate(views))
        embeddings = self._encoder.embed(activations).reshape(len(framed), -1)
        encoded = []
        for number, one in enumerate(framed):
            parts = [embeddings[number]]
            if self.spec.handmade:
                parts.append(features.extract(one.pixels, one.pupil, one.thumbnail))
            own = activations[number * count : (number + 1) * count]
            encoded.append(_Encoded(views[number], own, np.concatenate(parts)))
        return encoded

    def _compare(self, framed: _Framed, encoded: _Encoded) -> gate.Likeness:
        """How much the photo resembles an eye."""
        distance = self._gate.distance(self._gate_input(encoded.vector))
        embeddings = encoded.vector[: self.spec.embedding_dim * len(self.spec.views)]
        other = None if self._gate.other is None else self._gate.other.score(embeddings)
        if self._gate.eye is None:
            return gate.Likeness(distance, None, other)
        handmade = (
            encoded.vector[-features.LENGTH :]
            if self.spec.handmade
            else features.extract(framed.pixels, framed.pupil, framed.thumbnail)
        )
        layout = measure_layout(framed.thumbnail, framed.pupil)
        return gate.Likeness(distance, self._gate.eye.score(np.concatenate([handmade, layout])), other)

    def _gate_input(self, vector: Floats) -> Floats:
        match self._gate.space:
            case "embedding":
                return vector[: self.spec.embedding_dim]
            case "handmade":
                return vector[-features.LENGTH :]
            case _:
                return vector

    def _concerns(self, quality: Quality, likeness: gate.Likeness) -> tuple[Reason, ...]:
        concerns = (
            (Reason.QUALITY, self._gate.is_poor(quality)),
            (Reason.NO_COLOUR, self._gate.lacks_colour(quality)),
            (Reason.OUT_OF_DISTRIBUTION, self._gate.doubts(likeness)),
            (Reason.OTHER_FINDING, self._gate.finds_other(likeness)),
        )
        return tuple(reason for reason, holds in concerns if holds)


def _checked(photo: Pixels) -> Pixels:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or min(photo.shape[:2]) < 1:
        raise ValueError(f"A photo is an (H, W, 3) uint8 array, not {photo.shape} {photo.dtype}.")
    return photo


class _Clock:
    """Laps in milliseconds. It stands still while other photos of the same group are looked at."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self.go_on()

    def go_on(self) -> None:
        self._lap = time.perf_counter()

    def lap(self, name: str) -> None:
        self.add(name, time.perf_counter() - self._lap)
        self.go_on()

    def add(self, name: str, seconds: float) -> None:
        self._laps[name] = round(self._laps.get(name, 0.0) + 1000 * seconds, 3)

    def done(self) -> dict[str, float]:
        return self._laps | {"total": round(sum(self._laps.values()), 3)}
