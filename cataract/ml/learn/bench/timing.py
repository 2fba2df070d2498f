"""Time a pipeline: one photo after the other, and several callers at once."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from cataract.ml.learn.bench.systems import has_plain_pipeline

Way = Callable[[bytes], object]


@dataclass(frozen=True)
class Times:
    """The latency of single photos in milliseconds, and the photos answered per second.

    cpu_ms: processor time per photo, little affected by other load: the median for one caller, the mean for several.
    """

    median_ms: float
    p95_ms: float
    per_second: float
    cpu_ms: float


def one_by_one(ways: Mapping[str, Way], photos: Sequence[bytes], rounds: int) -> dict[str, Times]:
    """Each pipeline in turn answers each photo, `rounds` times. The first answer of each is not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        way(photos[0])
    for _ in range(rounds):
        for data in photos:
            for name, way in ways.items():
                taken[name].append(_seconds(way, data))
    times = {}
    for name, pairs in taken.items():
        seconds, processor = zip(*pairs, strict=True)
        times[name] = _times(seconds, sum(seconds), float(np.median(processor)))
    return times


def at_once(way: Way, photos: Sequence[bytes], callers: int) -> Times:
    """All photos, answered by `callers` threads at once."""
    with ThreadPoolExecutor(callers) as pool:
        started, processor = time.perf_counter(), time.process_time()
        seconds = [pair[0] for pair in pool.map(lambda data: _seconds(way, data), photos)]
        spent = (time.process_time() - processor) / len(photos)
        return _times(seconds, time.perf_counter() - started, spent)


def _seconds(way: Way, data: bytes) -> tuple[float, float]:
    """The wall time of one answer, and the processor time of this process meanwhile."""
    started, processor = time.perf_counter(), time.process_time()
    way(data)
    return time.perf_counter() - started, time.process_time() - processor


def _times(seconds: Sequence[float], wall: float, processor: float) -> Times:
    median, late = np.quantile(seconds, [0.5, 0.95]) * 1000
    per_second = round(len(seconds) / wall, 2)
    return Times(round(float(median), 2), round(float(late), 2), per_second, round(processor * 1000, 2))


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Give OpenCV and torch as many threads as ONNX Runtime has."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    if has_plain_pipeline():
        import torch

        torch.set_num_threads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def disturbance() -> str:
    """A warning when other work keeps this machine busy, else ""."""
    load = os.getloadavg()[0]
    if load <= 0.5 * cores():
        return ""
    busy = f"Other work keeps this machine busy (load {load:.1f} on {cores()} cores)"
    return f"{busy}: trust only the ratios and the processor times."


def cores() -> int:
    return len(os.sched_getaffinity(0))
