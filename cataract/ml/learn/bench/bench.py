"""How fast the cascade is, beside the plain way, on the same photos and cores. Read `measure` top to bottom.

torch is imported only where the plain way and a tower with random weights are made; without it our own times remain.
"""

import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.gate import QUALITY_LIMITS
from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import EncoderSpec, Graph
from cataract.ml.learn.bench.photos import Photo
from cataract.ml.photos import images
from cataract.ml.release import manifest as release

CALLERS = 8
_CPU = ("CPUExecutionProvider",)
_TREES = 200  # of the fast model where none was fitted

Way = Callable[[bytes], object]


@dataclass(frozen=True)
class Times:
    """Of single photos, in milliseconds, and how many photos a second were answered.

    cpu_ms: processor time a photo, whatever else the machine does: the median for one caller, the mean for several.
    """

    median_ms: float
    p95_ms: float
    per_second: float
    cpu_ms: float


@dataclass(frozen=True)
class Row:
    """One system on one group of photos. ours: both models on every photo; ours_fast: the accurate one never asked.

    ratio: how many times faster ours is, by the median for one caller, by photos a second for several; None without a
    plain way.
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
    same_answer: float | None  # lowest cosine between our embedding and the plain way's; None without a plain way


def has_torch() -> bool:
    """Whether the plain way and towers with random weights can be made here."""
    return importlib.util.find_spec("torch") is not None and importlib.util.find_spec("open_clip") is not None


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

    Every photo is answered `rounds` times by each way in turn, so that whatever else the machine does falls on both.
    Photos that the gate of a release refuses are left out of its rows. Raises ReleaseCorrupt, ValueError.
    """
    if arch and has_torch():
        from cataract.ml.learn.build.base import image_config

        image_config(arch)  # an unknown one is told before minutes have passed
    rows: list[Row] = []
    costs: list[Escalation] = []
    with _threads(threads), TemporaryDirectory() as workplace:
        for name, made in _systems(folder, arch, threads, Path(workplace), say):
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


@dataclass(frozen=True)
class _System:
    folder: Path
    plain: Callable[[bytes], Floats] | None


def _systems(
    folder: Path | None, arch: str, threads: int, workplace: Path, say: Callable[[str], None]
) -> Iterator[tuple[str, _System]]:
    """The systems to measure, made one after the other: the larger ones take some hundred megabytes."""
    if folder is not None:
        manifest = release.verify(folder)
        yield manifest.id, _System(folder, _plain_of_release(folder, manifest, threads))
    if arch and has_torch():
        from cataract.ml.learn.bench import plain
        from cataract.ml.learn.build import base

        say(f"{arch}: making it with random weights and exporting it")
        tower = base.random_tower(arch)
        dim = int(tower.config["embed_dim"]) + features.LENGTH
        classifier = plain.fit_classifier(dim, trees=_TREES, threads=threads)
        graphs = base.export_tower(tower)
        for precision in ("fp32", "int8"):
            place = workplace / precision
            text = classifier.booster_.model_to_string()
            manifest = base.write_base(
                place, tower, graphs, _open_gate(), fast=text, int8=precision == "int8", trainable=False
            )
            way = plain.PlainWay(tower.model, EncoderSpec.of(manifest.encoder), classifier)
            yield f"{arch} {precision}", _System(place, way)


def _plain_of_release(folder: Path, manifest: release.Manifest, threads: int) -> Callable[[bytes], Floats] | None:
    """The plain way with the weights of a release; None without torch, or where the release carries no weights."""
    if not has_torch() or "encoder.safetensors" not in manifest.files:
        return None
    from cataract.ml.learn.bench import plain
    from cataract.ml.learn.fit import towers

    spec = EncoderSpec.of(manifest.encoder)
    trees = release.read_file(folder, manifest, "fast.txt").count(b"\nTree=")
    classifier = plain.fit_classifier(spec.dim, trees=max(trees, 1), threads=threads)
    return plain.PlainWay(towers.load_encoder(folder), spec, classifier)


def _open_gate() -> dict[str, Any]:
    """A gate that takes every photo: what is measured is time, of a tower that was not trained."""
    zeros, ones = [0.0] * features.LENGTH, [1.0] * features.LENGTH
    axis = [[1.0, *zeros[1:]]]
    limits = {"dark": 0.0, "bright": 1.0, "burnt": 1.0, "blank": 0.0, "blurred": 0.0}
    ood = {"of": "handmade", "mean": zeros, "spread": ones, "axes": axis, "scale": [1.0], "residual": 1.0}
    return {"quality": {**QUALITY_LIMITS, **limits}, "ood": {**ood, "soft": 1e9, "hard": 1e9}}


def _graded(cascade: Cascade, photos: Sequence[Photo]) -> tuple[list[Photo], list[str]]:
    answers = [(photo, cascade.predict([images.decode(photo.data)], mode="fast")[0]) for photo in photos]
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
        "ours": lambda data: cascade.predict([images.decode(data)], mode="always"),
        "ours_fast": lambda data: cascade.predict([images.decode(data)], mode="fast"),
    }
    if plain is not None:
        ways["plain"] = plain
    one = _one_by_one(ways, photos, rounds)
    yield _row(system, group, 1, one, lambda ours, theirs: theirs.median_ms / ours.median_ms)
    repeats = max(rounds, math.ceil(2 * callers / len(photos)))
    many = {name: _at_once(way, list(photos) * repeats, callers) for name, way in ways.items()}
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


def _one_by_one(ways: Mapping[str, Way], photos: Sequence[bytes], rounds: int) -> dict[str, Times]:
    """Each photo by each way in turn; the first answers of all are not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        way(photos[0])
    for _ in range(rounds):
        for data in photos:
            for name, way in ways.items():
                taken[name].append(_seconds(way, data))
    found = {}
    for name, pairs in taken.items():
        seconds, processor = zip(*pairs, strict=True)
        found[name] = _times(seconds, sum(seconds), float(np.median(processor)))
    return found


def _at_once(way: Way, photos: Sequence[bytes], callers: int) -> Times:
    with ThreadPoolExecutor(callers) as pool:
        started, processor = time.perf_counter(), time.process_time()
        seconds = [pair[0] for pair in pool.map(lambda data: _seconds(way, data), photos)]
        spent = (time.process_time() - processor) / len(photos)
        return _times(seconds, time.perf_counter() - started, spent)


def _seconds(way: Way, data: bytes) -> tuple[float, float]:
    """What one answer takes: on the clock, and of the processor (of this whole process)."""
    started, processor = time.perf_counter(), time.process_time()
    way(data)
    return time.perf_counter() - started, time.process_time() - processor


def _times(seconds: Sequence[float], wall: float, processor: float) -> Times:
    median, late = np.quantile(seconds, [0.5, 0.95]) * 1000
    per_second = round(len(seconds) / wall, 2)
    return Times(round(float(median), 2), round(float(late), 2), per_second, round(processor * 1000, 2))


def _escalation(
    system: str, made: _System, cascade: Cascade, photos: Sequence[bytes], rounds: int, threads: int
) -> Escalation:
    manifest, spec = cascade.manifest, cascade.spec
    trunk, embed, accurate = (
        Graph(release.read_file(made.folder, manifest, name), providers=_CPU, threads=threads)
        for name in ("trunk.onnx", "embed.onnx", "accurate.onnx")
    )
    size = spec.image_size
    views: Floats = np.random.default_rng(0).normal(size=(len(spec.views), 3, size, size)).astype(np.float32)
    rows = [spec.views.index(view) for view in manifest.accurate["views"]]
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


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """OpenCV and torch use as many threads as ONNX Runtime is given."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    if has_torch():
        import torch

        torch.set_num_threads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def as_json(rows: Sequence[Row], costs: Sequence[Escalation], *, threads: int, rounds: int) -> str:
    """Everything that was measured, and on how many cores."""
    facts: dict[str, Any] = {"cores": _cores(), "load": os.getloadavg()[0], "threads": threads, "rounds": rounds}
    facts["torch"] = has_torch()
    return json.dumps({**facts, "rows": [asdict(r) for r in rows], "escalation": [asdict(c) for c in costs]}, indent=1)


def disturbance() -> str:
    """A sentence when other work keeps this machine busy, else ""."""
    load = os.getloadavg()[0]
    if load <= 0.5 * _cores():
        return ""
    busy = f"Other work keeps this machine busy (load {load:.1f} on {_cores()} cores)"
    return f"{busy}: trust the ratios and the processor times."


def _cores() -> int:
    return len(os.sched_getaffinity(0))
