"""Whether a new release is better than its base: both on the same photos, each scored by models fitted without them."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.learn.build.calibrate import cross_calibrated, final_probability, losses, probabilities
from cataract.ml.learn.build.held_out import Judged
from cataract.ml.learn.build.workspace import Build

_Z = 1.96


@dataclass(frozen=True)
class Difference:
    """The log losses of the new release and of its base on n clusters, and new - base with a 95 % interval."""

    new: float
    base: float
    difference: float
    low: float
    high: float
    n: int

    def words(self) -> str:
        return (
            f"log loss {self.new:.4f}, the base's {self.base:.4f} (difference {self.difference:+.4f}, 95 % interval "
            f"{self.low:+.4f} to {self.high:+.4f}; {self.n} clusters)"
        )


@dataclass(frozen=True)
class Verdict:
    """own: on the installation's photos; remembered: on the public ones of the base release; None where there are none.

    reason: why the release is worse than its base, in a sentence; empty where it is not.
    """

    own: Difference | None
    remembered: Difference | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_with_base(build: Build, judged: Judged, policy: dict[str, Any]) -> Verdict:
    """Compare the final probabilities by log loss, one photo per cluster, weighted, at the release's prevalence.

    The new release's curves are fitted without the photo that they are asked about; the base answers as it stands. A
    release that is not better on all photos together does not help; one that is clearly worse on the installation's own
    photos harms it, and one that is clearly worse on the public ones has forgotten something.
    """
    one_each = np.unique(judged.new.clusters, return_index=True)[1]
    new, base, is_own = judged.new.take(one_each), judged.base.take(one_each), judged.is_own[one_each]
    final = cross_calibrated(new, policy)[2]
    curves = json.loads((build.base / "calibration.json").read_text(encoding="utf-8"))
    before = final_probability(build.base_manifest.policy, *probabilities(base, curves))
    scored = np.isfinite(before)
    losses_of = losses(final, new.y), losses(np.where(scored, before, 0.5), new.y)
    weights = new.at(policy["prevalence"])
    own, remembered, together = (
        _difference(*losses_of, weights, scored & rows) for rows in (is_own, ~is_own, np.ones_like(is_own))
    )
    reason = ""
    if own is not None and own.low > 0:
        reason = f"It is worse than its base on the photos of this installation: {own.words()}."
    elif together is not None and together.difference > 0:
        reason = f"It is not better than its base on all photos together: {together.words()}."
    elif remembered is not None and remembered.low > 0:
        reason = f"It is worse than its base on the public photos that the base remembers: {remembered.words()}."
    return Verdict(own, remembered, reason)


def _difference(
    new: NDArray[np.float64], base: NDArray[np.float64], weights: NDArray[np.float64], rows: NDArray[np.bool_]
) -> Difference | None:
    """None for fewer than two clusters. The interval is that of a weighted mean (Hajek 1971)."""
    if rows.sum() < 2:
        return None
    share = weights[rows] / weights[rows].sum()
    by_photo = (new - base)[rows]
    mean = float(share @ by_photo)
    error = _Z * float(np.sqrt((share**2 * (by_photo - mean) ** 2).sum()))
    return Difference(
        float(share @ new[rows]), float(share @ base[rows]), mean, mean - error, mean + error, int(rows.sum())
    )
