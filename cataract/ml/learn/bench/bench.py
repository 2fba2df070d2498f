"""The speed of the cascade against the plain pipeline, on the same photos and cores. Read `measure` top to bottom.

Without torch there is no plain pipeline and no tower with random weights; only the release is measured.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.encoder import EncoderSpec, Graph
from cataract.ml.labels import Mode
from cataract.ml.learn.bench.photos import Photo
from cataract.ml.learn.bench.systems import System, has_plain_pipeline, make_systems
from cataract.ml.learn.bench.timing import Times, Way, at_once, cores, limit_threads, one_by_one
from cataract.ml.photos import images
from cataract.ml.release.manifest import read_file

CALLERS = 8
_CPU = ("CPUExecutionProvider",)


@dataclass(frozen=True)
class Row:
    """One system on one group of photos. ours: both models on every photo; ours_fast: the fast model alone.

    ratio: how many times faster ours is, by the median for one caller, by photos per second for several; None without
    a plain pipeline.
    """

    system: str
    photos: str
    callers: int
    ours: Times
    ours_fast: Times
    plain: Times | None
    ratio: float | None


@dataclass(frozen=True)
class Escalation:
    """What asking the accurate model adds, as a share of one forward pass of the encoder (trunk and embedding)."""

    system: str
    tail_ms: float
    forward_ms: float
    share: float
    same_answer: float | None  # lowest cosine between our embedding and the plain pipeline's; None without a plain one


def measure(
    folder: Path | None,
    photos: Sequence[Photo],
    *,
    arch: str = "ViT-B-32",
    rounds: int = 5,
    threads: int = 1,
    callers: int = CALLERS,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[list[Row], list[Escalation]]:
    """Measure the release in `folder`, and `arch` with random weights in fp32 and int8; either may be left out.

    Both pipelines answer every photo in turn, `rounds` times: other load on the machine affects both.
    Photos that the gate of a release refuses are left out of its rows. Raises ReleaseCorrupt, ValueError.
    """
    if arch and has_plain_pipeline():
        from cataract.ml.learn.towers.architecture import image_config

        image_config(arch)  # reports an unknown one before minutes have passed
    rows: list[Row] = []
    costs: list[Escalation] = []
    with limit_threads(threads), TemporaryDirectory() as workplace:
        for name, made in make_systems(folder, arch, threads, Path(workplace), say):
            cascade = Cascade.load(made.folder, threads=threads)
            graded, refused = _graded(cascade, photos)
            if refused:
                say(f"{name}: its gate refuses {', '.join(refused)}; left out.")
            if not graded:
                say(f"{name}: no photo is left to measure.")
                continue
            say(f"{name}: {len(graded)} photos, {rounds} rounds")
            for group in dict.fromkeys(photo.group for photo in graded):
                chosen = [photo.data for photo in graded if photo.group == group]
                rows += _compare(name, group, cascade, made.plain, chosen, rounds, callers)
            costs.append(_escalation(name, made, cascade, [photo.data for photo in graded], rounds, threads))
    return rows, costs


def _graded(cascade: Cascade, photos: Sequence[Photo]) -> tuple[list[Photo], list[str]]:
    answers = [(photo, cascade.predict([images.decode(photo.data)], mode=Mode.FAST)[0]) for photo in photos]
    graded = [photo for photo, answer in answers if answer.route != "gate"]
    return graded, [photo.name for photo, answer in answers if answer.route == "gate"]


def _compare(
    system: str,
    group: str,
    cascade: Cascade,
    plain: Way | None,
    photos: Sequence[bytes],
    rounds: int,
    callers: int,
) -> Iterator[Row]:
    ways: dict[str, Way] = {
        "ours": lambda data: cascade.predict([images.decode(data)], mode=Mode.ALWAYS),
        "ours_fast": lambda data: cascade.predict([images.decode(data)], mode=Mode.FAST),
    }
    if plain is not None:
        ways["plain"] = plain
    one = one_by_one(ways, photos, rounds)
    yield _row(system, group, 1, one, lambda ours, theirs: theirs.median_ms / ours.median_ms)
    repeats = max(rounds, math.ceil(2 * callers / len(photos)))
    many = {name: at_once(way, list(photos) * repeats, callers) for name, way in ways.items()}
    yield _row(system, group, callers, many, lambda ours, theirs: ours.per_second / theirs.per_second)


def _row(
    system: str, group: str, callers: int, times: Mapping[str, Times], ratio: Callable[[Times, Times], float]
) -> Row:
    plain = times.get("plain")
    return Row(
        system,
        group,
        callers,
        times["ours"],
        times["ours_fast"],
        plain,
        round(ratio(times["ours"], plain), 2) if plain else None,
    )


def _escalation(
    system: str, made: System, cascade: Cascade, photos: Sequence[bytes], rounds: int, threads: int
) -> Escalation:
    manifest, spec = cascade.manifest, cascade.spec
    trunk, embed, accurate = (
        Graph(read_file(made.folder, manifest, name), providers=_CPU, threads=threads)
        for name in ("trunk.onnx", "embed.onnx", "accurate.onnx")
    )
    size = spec.image_size
    views: Floats = np.random.default_rng(0).normal(size=(len(spec.views), 3, size, size)).astype(np.float32)
    rows = [spec.views.index(view) for view in manifest.accurate.views]
    forward, tail = [], []
    for _ in range(max(5, rounds)):
        started = time.perf_counter()
        activations = trunk.run(views)
        embed.run(activations)
        passed = time.perf_counter()
        accurate.run(activations[rows])
        forward.append(passed - started)
        tail.append(time.perf_counter() - passed)
    tail_ms, forward_ms = (round(float(np.median(taken[1:])) * 1000, 2) for taken in (tail, forward))
    same = None
    if made.plain is not None:
        same = min(_cosine(cascade, spec, data, made.plain(data)) for data in photos)
    return Escalation(system, tail_ms, forward_ms, round(tail_ms / forward_ms, 3), same)


def _cosine(cascade: Cascade, spec: EncoderSpec, data: bytes, theirs: Floats) -> float:
    ours: NDArray[np.float32] = cascade.embed([images.decode(data)])[0][: spec.embedding_dim * len(spec.views)]
    return round(float(ours @ theirs / (np.linalg.norm(ours) * np.linalg.norm(theirs))), 4)


def as_json(rows: Sequence[Row], costs: Sequence[Escalation], *, threads: int, rounds: int) -> str:
    """Everything that was measured, and on how many cores."""
    facts: dict[str, Any] = {"cores": cores(), "load": os.getloadavg()[0], "threads": threads, "rounds": rounds}
    facts["torch"] = has_plain_pipeline()
    return json.dumps({**facts, "rows": [asdict(r) for r in rows], "escalation": [asdict(c) for c in costs]}, indent=1)
