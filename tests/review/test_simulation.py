"""A made-up clinic with known truth, reviewed by our policy: do the intervals have their stated coverage?

The estimator is the one of the agreement page. The unweighted figures, which ignore why a photo was read, must fail:
otherwise the clinic would prove nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from cataract.ml.cascade.policy import audit_selected
from cataract.ml.statistics.intervals import Estimate
from review.agreement import estimates

REPETITIONS = 200
PREDICTIONS = 5_000
PROMISED = 0.93


@dataclass(frozen=True)
class Clinic:
    """One made-up clinic: what the AI said, what is true, and which photos people read with which chance."""

    called: NDArray[np.int64]
    truth: NDArray[np.int64]
    propensity: NDArray[np.float64]
    read: NDArray[np.bool_]

    @property
    def sensitivity(self) -> float:
        return float(self.called[self.truth == 1].mean())

    @property
    def specificity(self) -> float:
        return float(1 - self.called[self.truth == 0].mean())


@cache
def make_clinic(seed: int, audit_rate: float = 0.05) -> Clinic:
    """5,000 photos, one in six with cataract, of an AI that is surer than it should be; doubtful ones are all read."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2.2, 2.6, PREDICTIONS)
    truth = rng.random(PREDICTIONS) < 1 / (1 + np.exp(-0.7 * log_odds))
    probability = 1 / (1 + np.exp(-log_odds))
    disagreement = rng.random(PREDICTIONS) < 0.03
    doubtful = ((probability > 0.15) & (probability < 0.75)) | disagreement
    audited = np.array([audit_selected(f"{seed}:{photo}", audit_rate) for photo in range(PREDICTIONS)])
    return Clinic(
        called=(probability >= 0.5).astype(np.int64),
        truth=truth.astype(np.int64),
        propensity=np.where(doubtful, 1.0, audit_rate),
        read=doubtful | audited,
    )


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= truth <= estimate.high


def rows() -> Iterator[tuple[Clinic, estimates.Live, estimates.Live]]:
    for seed in range(REPETITIONS):
        clinic = make_clinic(seed)
        read = clinic.read
        yield (
            clinic,
            *estimates.live(called=clinic.called[read], truth=clinic.truth[read], propensity=clinic.propensity[read]),
        )


def test_the_weighted_interval_holds_the_truth_and_the_unweighted_one_does_not() -> None:
    clinics = list(rows())
    print(f"\n{PREDICTIONS} predictions, {REPETITIONS} repetitions, about {clinics[0][0].read.sum()} read")
    print(f"{'':22}{'coverage':>10}{'bias':>9}{'width':>8}")
    for measure in ("sensitivity", "specificity"):
        truths = np.array([getattr(clinic, measure) for clinic, _, _ in clinics])
        for name, index in (("weighted", 1), ("unweighted", 2)):
            found = [getattr(row[index], measure) for row in clinics]
            covered = float(np.mean([holds(e, t) for e, t in zip(found, truths, strict=True)]))
            bias = float(np.mean([e.value for e in found] - truths))
            width = float(np.mean([e.high - e.low for e in found]))
            print(f"{name + ' ' + measure:22}{covered:10.3f}{bias:+9.3f}{width:8.3f}")
            if name == "weighted":
                assert covered >= PROMISED, f"{measure}: the interval holds the truth in {covered:.1%} only"
                assert abs(bias) < 0.01
            else:
                assert covered < 0.5


def test_reading_the_urgent_first_does_not_bias_the_estimate() -> None:
    """Half of the audited photos still wait: weighting by class makes up for it."""
    values = []
    for seed in range(REPETITIONS):
        clinic = make_clinic(seed)
        waits = (clinic.propensity < 1) & (np.random.default_rng(seed).random(PREDICTIONS) < 0.5)
        chosen, read = clinic.read, clinic.read & ~waits
        classes = [f"{said}:{chance}" for said, chance in zip(clinic.called, clinic.propensity, strict=True)]
        share = np.zeros(PREDICTIONS)
        share[chosen] = estimates.read_share(np.array(classes)[chosen].tolist(), read[chosen].tolist())
        weighted, _ = estimates.live(
            called=clinic.called[read], truth=clinic.truth[read], propensity=(clinic.propensity * share)[read]
        )
        assert weighted.sensitivity.value is not None
        values.append(weighted.sensitivity.value - clinic.sensitivity)
    assert np.mean(values) == pytest.approx(0, abs=0.01)
