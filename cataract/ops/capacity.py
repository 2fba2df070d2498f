"""How many photos a second an installation takes: a simulation of uploads that queue for cores, lock and database.

The stations stand in the order of an upload. Photos come at random (Poisson), and a station serves them in the order in
which they arrive, each for a time that varies around its mean. What one upload costs is measured, and given.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ARRIVALS = 12_000  # simulated each time; the first tenth fills the queues and does not count
VARIATION = 0.5  # standard deviation of a service time, as a share of its mean
_SHAPE = 1 / VARIATION**2
_HALVINGS = 11
_FULL = 0.9  # of a station: beyond, queues grow for longer than a simulation runs


@dataclass(frozen=True)
class Station:
    """Where a photo waits for its turn: how many it serves at once, and for how many milliseconds each."""

    name: str
    servers: int
    milliseconds: float

    @property
    def most_per_second(self) -> float:
        return 1000 * self.servers / self.milliseconds


@dataclass(frozen=True)
class Load:
    """Photos at `per_second`: milliseconds from arrival to answer, and the share of time each station is busy."""

    per_second: float
    p50_ms: float
    p95_ms: float
    busy: dict[str, float]

    @property
    def fullest(self) -> str:
        return max(self.busy, key=lambda name: self.busy[name])


def simulate(stations: Sequence[Station], per_second: float, *, seed: int = 0, arrivals: int = ARRIVALS) -> Load:
    """What photos that come at `per_second` take, in milliseconds. The same arguments give the same numbers."""
    rng = np.random.default_rng(seed)
    came = np.cumsum(rng.exponential(1000 / per_second, arrivals))
    at = came
    for station in stations:
        takes = rng.gamma(_SHAPE, station.milliseconds / _SHAPE, arrivals)
        at = _leave(at, takes, station.servers)
    took = (at - came)[arrivals // 10 :]
    p50, p95 = np.percentile(took, (50, 95))
    busy = {station.name: per_second / station.most_per_second for station in stations}
    return Load(per_second, float(p50), float(p95), busy)


def most(stations: Sequence[Station], *, p95_ms: float) -> Load:
    """The most photos a second of which 95 % are answered within `p95_ms`, with a tenth of each station to spare."""
    low, high = 0.0, _FULL * min(station.most_per_second for station in stations)
    best = Load(0.0, float("nan"), float("nan"), {station.name: 0.0 for station in stations})
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = simulate(stations, middle)
        if found.p95_ms <= p95_ms:
            low, best = middle, found
        else:
            high = middle
    return best


def core_hours(milliseconds: float, photos: int = 1_000_000) -> float:
    """Hours of one core for so many photos."""
    return milliseconds * photos / 3_600_000


def _leave(came: NDArray[np.float64], takes: NDArray[np.float64], servers: int) -> NDArray[np.float64]:
    """When each leaves a station of equal servers, served in the order of arrival."""
    order = np.argsort(came, kind="stable")
    free = [0.0] * servers
    left = np.empty_like(came)
    for number in order:
        starts = max(came[number], heapq.heappop(free))
        left[number] = starts + takes[number]
        heapq.heappush(free, left[number])
    return left
