"""Is a share of errors below its limit? Tests that may be looked at after every photo without spending confidence.

Betting: a wealth of 1 is staked on each unit as it comes, in a game that is at best fair while the share of errors is
at or above the limit. Then the wealth ever reaches 1 / alpha with a probability of at most alpha, however often one
looks (Ville 1939; Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024,
section 4). A unit that was read with probability 1 / weight counts `weight` times, which keeps the game fair.

The other direction, a share that was good and has become worse, is found by an e-detector: the same bets reversed,
each started over whenever it has lost everything it won (Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2023). A false
alarm then comes on average after at least as many units as the detector's threshold says.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

# Each bet expects this multiple of the limit as share of errors; half of the wealth stakes on none at all.
_BELOW: Final = ((0.0, 0.5), (0.1, 0.2), (0.25, 0.2), (0.5, 0.1))
_ABOVE: Final = ((1.5, 0.25), (2.0, 0.25), (4.0, 0.25), (8.0, 0.25))
_MOST_LOST: Final = 0.5  # of the wealth by one unit without an error, however heavy it is
_FURTHEST: Final = 1_000_000  # units that `more_without_error` looks ahead


@dataclass(frozen=True)
class Unit:
    """One thing that is right or wrong.

    weight: 1 / the probability with which it came to be known, at least 1. error_weight: the greatest weight that an
    error could have had up to here, known before the truth.
    """

    is_error: bool
    weight: float = 1.0
    error_weight: float = 1.0


def evidence_below(units: Sequence[Unit], limit: float) -> float:
    """The wealth of who bets that the share of errors is below `limit` (0..1, exclusive); 1 for no units.

    Reaches 1 / alpha with a probability of at most alpha while the share is at or above the limit. A stake is never
    more than the heaviest possible error can lose, so heavy errors make it slower.
    """
    return sum(share * _last(_wealths(units, limit, 1 - expected), 1.0) for expected, share in _BELOW)


def _wealths(units: Iterable[Unit], limit: float, stake: float) -> Iterator[float]:
    """The wealth of one bet after each unit."""
    wealth, heaviest = 1.0, 1.0
    for unit in units:
        heaviest = max(heaviest, unit.error_weight)
        bet = min(stake, 1 / heaviest)
        wealth *= 1 - bet * unit.weight if unit.is_error else 1 + bet * unit.weight * limit / (1 - limit)
        yield wealth


def _last(values: Iterable[float], otherwise: float) -> float:
    for value in values:
        otherwise = value
    return otherwise


def upper_bound(units: Sequence[Unit], alpha: float) -> float:
    """The largest share of errors that the units do not refute: right at every look with probability 1 - `alpha`.

    `evidence_below` grows with its limit, so the bound is where it reaches 1 / alpha; 1 for no units.
    """
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if evidence_below(units, middle) >= 1 / alpha else (middle, high)
    return high


def more_without_error(units: Sequence[Unit], limit: float, alpha: float) -> int | None:
    """How many more units of weight 1 without an error it takes until the share is shown to be below `limit`.

    0 when it is shown already; None when it takes more than can be counted on.
    """
    least = 1 / max((unit.error_weight for unit in units), default=1.0)
    wealths = []
    for expected, share in _BELOW:
        wealth = share * _last(_wealths(units, limit, 1 - expected), 1.0)
        wealths.append((wealth, 1 + min(1 - expected, least) * limit / (1 - limit)))

    def reaches(more: int) -> bool:
        return sum(wealth * math.exp(min(more * math.log(gain), 700.0)) for wealth, gain in wealths) >= 1 / alpha

    if not reaches(_FURTHEST):
        return None
    low, high = -1, _FURTHEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def evidence_above(units: Sequence[Unit], limit: float) -> float:
    """The highest value of an e-detector so far: how strongly some stretch of the units says "above `limit`".

    An alarm at `threshold` is false on average once in `threshold` units at most, while the share is within the limit.
    """
    detectors = [_detector(units, limit, expected - 1) for expected, _ in _ABOVE]
    shares = [share for _, share in _ABOVE]
    return max((sum(map(mul, shares, values)) for values in zip(*detectors, strict=True)), default=0.0)


def _detector(units: Iterable[Unit], limit: float, stake: float) -> Iterator[float]:
    """The value of one detector after each unit."""
    value, heaviest = 0.0, 1.0
    for unit in units:
        heaviest = max(heaviest, unit.weight)
        bet = min(stake / (1 - limit), _MOST_LOST / (limit * heaviest))
        gain = unit.weight * (1 - limit) if unit.is_error else -unit.weight * limit
        value = max(value, 1.0) * (1 + bet * gain)
        yield value
