"""Watching photos for drift over years: one look for each so many new photos, and what all looks may spend in error.

A look compares the newest photos with a reference that stands still. It may err with the probability that `alpha_of`
gives it: a budget of false alarms a year, spent in proportion to the time since the last look, and divided between the
measures (Bonferroni 1936; the embeddings take two parts, each other measure one). The expected number of false alarms a
year is then at most the budget, however many photos come and however the measures hang together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np

from cataract.ml.statistics import shifts
from cataract.ml.statistics.shifts import Difference, Numbers

REFERENCE: Final = 1000  # photos that the newest are compared with, once there are so many
FIRST: Final = 200  # photos of the reference before the first look
RECENT: Final = 200
EVERY: Final = 25  # new photos between two looks
LEAST: Final = 30  # numbers on each side for a measure to be compared at all
EMBEDDING: Final = "embedding"

_SUSPECTED: Final = 0.01  # of looks without drift are suspected
_LONGEST: Final = 30.0  # days without photos that still count as time to spend
_KERNEL_REFERENCE: Final = 250  # embeddings of the reference that are compared

State = Literal["stable", "suspected", "drifted"]
Item = TypeVar("Item")


@dataclass
class Windows(Generic[Item]):
    """The photos that looks compare: a reference that fills first and then stands still, and the newest.

    looked_at: how many photos came since the last look.
    """

    reference: list[Item] = field(default_factory=list)
    recent: list[Item] = field(default_factory=list)
    looked_at: int = 0

    def add(self, item: Item, *, may_grow: bool = True) -> None:
        """A new photo. What leaves the newest joins the reference while that is small and nothing has drifted."""
        if len(self.reference) < FIRST and not self.recent:
            self.reference.append(item)
            return
        self.recent.append(item)
        self.looked_at += 1
        if len(self.recent) > RECENT:
            oldest = self.recent.pop(0)
            if may_grow and len(self.reference) < REFERENCE:
                self.reference.append(oldest)

    @property
    def is_due(self) -> bool:
        return self.looked_at >= EVERY


@dataclass(frozen=True)
class Sample:
    """Measures of N photos, oldest first.

    numbers: {name: (N,)}, NaN where a photo has none. embeddings: (N, D), rows of NaN where a photo has none.
    """

    numbers: Mapping[str, Numbers]
    embeddings: Numbers


@dataclass(frozen=True)
class Shift:
    """One measure in one look. alpha: the largest p that counts as drift. `difference` is in standard deviations.

    Embeddings have neither means nor a difference; `tell_apart` says how far they are apart.
    """

    n_reference: int
    n_recent: int
    reference: float | None
    recent: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float
    alpha: float

    @property
    def has_drifted(self) -> bool:
        return self.p <= self.alpha


@dataclass(frozen=True)
class Look:
    """What one look found. onset: the index of the recent photo from which on they differ most, if any has drifted."""

    shifts: dict[str, Shift]
    state: State
    onset: int | None

    @property
    def drifted(self) -> list[str]:
        """The measures that have drifted, the surest first."""
        found = [name for name, shift in self.shifts.items() if shift.has_drifted]
        return sorted(found, key=lambda name: self.shifts[name].p / self.shifts[name].alpha)


def state_after(before: State, found: State) -> State:
    """The state of what is watched. What has drifted stays so until a look does not even suspect it any more."""
    return "drifted" if before == "drifted" and found == "suspected" else found


def alpha_of(*, budget: float, days: float) -> float:
    """How likely one look may be a false alarm. budget: false alarms a year. days: since the last look."""
    return budget * min(max(days, 0.0), _LONGEST) / 365


def look(reference: Sample, recent: Sample, *, alpha: float, seed: int = 0) -> Look:
    """Compare the newest photos with the reference; false with a probability of at most `alpha`."""
    shares = _shares(reference, recent)
    found = {
        name: (_embeddings if name == EMBEDDING else _measure)(reference, recent, name, alpha * share, seed)
        for name, share in shares.items()
    }
    state: State = "stable"
    if any(shift.has_drifted for shift in found.values()):
        state = "drifted"
    elif any(shift.p <= _SUSPECTED * shares[name] for name, shift in found.items()):
        state = "suspected"
    made = Look(found, state, None)
    return Look(found, state, _onset(reference, recent, made.drifted[0]) if made.drifted else None)


def _shares(reference: Sample, recent: Sample) -> dict[str, float]:
    """The share of alpha of each measure that has numbers enough on both sides."""
    names = [
        name
        for name, values in recent.numbers.items()
        if min(np.isfinite(values).sum(), np.isfinite(reference.numbers[name]).sum()) >= LEAST
    ]
    parts = dict.fromkeys(names, 1)
    if min(len(_known(reference.embeddings)), len(_known(recent.embeddings))) >= LEAST:
        parts[EMBEDDING] = 2
    return {name: part / sum(parts.values()) for name, part in parts.items()}


def _measure(reference: Sample, recent: Sample, name: str, alpha: float, seed: int) -> Shift:
    old, new = (values[np.isfinite(values)] for values in (reference.numbers[name], recent.numbers[name]))
    size = shifts.difference(old, new)
    return Shift(len(old), len(new), float(old.mean()), float(new.mean()), *size, shifts.rank_test(old, new), alpha)


def _embeddings(reference: Sample, recent: Sample, name: str, alpha: float, seed: int) -> Shift:
    old, new = _some(reference.embeddings, seed), _known(recent.embeddings)
    p = shifts.kernel_test(old, new, alpha=alpha, seed=seed)
    return Shift(len(old), len(new), None, None, None, None, None, p, alpha)


def tell_apart(reference: Sample, recent: Sample, *, seed: int = 0) -> Difference | None:
    """The AUC of a classifier that tells recent embeddings from earlier ones, with its interval; None for too few."""
    old, new = _some(reference.embeddings, seed), _known(recent.embeddings)
    return Difference(*shifts.domain_auc(old, new, seed=seed)) if min(len(old), len(new)) >= LEAST else None


def _onset(reference: Sample, recent: Sample, name: str) -> int:
    if name == EMBEDDING:
        old, new = shifts.along_the_shift(_known(reference.embeddings), _known(recent.embeddings))
        known = np.isfinite(recent.embeddings[:, 0])
    else:
        old, new = (values[np.isfinite(values)] for values in (reference.numbers[name], recent.numbers[name]))
        known = np.isfinite(recent.numbers[name])
    return int(np.flatnonzero(known)[shifts.onset(old, new)])


def _some(rows: Numbers, seed: int) -> Numbers:
    """The known rows, or a random part of them: the kernel test costs the square of their number."""
    known = _known(rows)
    return known[np.random.default_rng(seed).permutation(len(known))[:_KERNEL_REFERENCE]]


def _known(rows: Numbers) -> Numbers:
    """The rows that hold numbers."""
    return rows[np.isfinite(rows[:, 0])] if rows.size else rows.reshape(0, 1)


def as_json(found: Look) -> dict[str, dict[str, Any]]:
    """The shifts of a look for a JSON column, rounded to six digits, with `has_drifted`."""
    return {
        name: {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in vars(shift).items()}
        | {"has_drifted": shift.has_drifted}
        for name, shift in found.shifts.items()
    }
