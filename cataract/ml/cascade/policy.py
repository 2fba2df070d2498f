"""The clinical policy: probabilities -> decision, needs_review, reasons. Pure functions that a clinician can read.

policy.json inside the release:

version               names the policy; every outcome carries it
fast_band             {"low", "high"}: inside it, ends included, the fast model is unsure: the accurate one runs, and
                      where it may not, the photo is `uncertain`
auto                  {"normal_below", "cataract_above"}: a final probability strictly beyond either is decided without
                      a clinician; anything between, ends included, is `uncertain`. 0 and 1 send every photo to review
disagreement_margin   the models disagree when they stand on opposite sides of 0.5, both further from it than this
accurate_weight       w of the final probability: logit(p) = (1 - w) logit(p_fast) + w logit(p_accurate)
limits, confidence, prevalence, normal, cataract, coverage, n
                      how `fast_band` and `auto` were chosen and what they promise (`risk`): for the record and the card
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cataract.ml.labels import Decision, Reason
from cataract.ml.statistics.draws import is_in_share


@dataclass(frozen=True)
class Policy:
    """The numbers of policy.json that decide."""

    version: str
    band_low: float
    band_high: float
    normal_below: float
    cataract_above: float
    disagreement_margin: float
    accurate_weight: float

    @classmethod
    def from_json(cls, policy: Mapping[str, Any]) -> "Policy":
        """The policy in a release. Raises ValueError when a number is outside 0..1 or a pair is the wrong way round."""
        parsed = cls(
            version=str(policy["version"]),
            band_low=float(policy["fast_band"]["low"]),
            band_high=float(policy["fast_band"]["high"]),
            normal_below=float(policy["auto"]["normal_below"]),
            cataract_above=float(policy["auto"]["cataract_above"]),
            disagreement_margin=float(policy["disagreement_margin"]),
            accurate_weight=float(policy["accurate_weight"]),
        )
        numbers = [value for value in vars(parsed).values() if isinstance(value, float)]
        if not all(0 <= value <= 1 for value in numbers):
            raise ValueError("The policy holds a number outside 0..1.")
        if parsed.band_low > parsed.band_high or parsed.normal_below > parsed.cataract_above:
            raise ValueError("The policy's thresholds are the wrong way round.")
        return parsed


@dataclass(frozen=True)
class Verdict:
    """The answer: a decision, whether a clinician must review it, why, and the final probability of cataract."""

    decision: Decision
    needs_review: bool
    reasons: tuple[Reason, ...]
    probability: float | None


def decide(policy: Policy, fast: float | None, accurate: float | None, *, concerns: tuple[Reason, ...] = ()) -> Verdict:
    """The verdict on a photo that passed the gate, from the calibrated probabilities of the models that ran.

    `concerns` (`quality`, `out_of_distribution`) come from the gate and always lead to review. A number that is not a
    probability is never an answer: the photo is then ungradable and goes to review.
    """
    answers = [value for value in (fast, accurate) if value is not None]
    if not answers or not all(0 <= value <= 1 for value in answers):  # NaN fails every comparison, so it ends here too
        return Verdict(Decision.UNGRADABLE, True, (*concerns, Reason.INVALID_SCORE), None)
    probability = answers[0] if len(answers) == 1 else combine(policy, *answers)
    reasons = list(concerns)
    is_alone_and_unsure = accurate is None and is_unsure(policy, fast)
    if is_alone_and_unsure or policy.normal_below <= probability <= policy.cataract_above:
        reasons.append(Reason.UNCERTAIN)
    if len(answers) == 2 and disagree(policy, *answers):
        reasons.append(Reason.DISAGREEMENT)
    decision = Decision.CATARACT if probability >= 0.5 else Decision.NORMAL
    return Verdict(decision, bool(reasons), tuple(reasons), probability)


def refuse(reason: Reason) -> Verdict:
    """The verdict on a photo that the gate refused: no guess, a clinician reviews it."""
    return Verdict(Decision.UNGRADABLE, True, (Reason.UNGRADABLE, reason), None)


def is_unsure(policy: Policy, fast: float | None) -> bool:
    """True when the accurate model must run too; also for anything that is not a probability."""
    return fast is None or not (fast < policy.band_low or fast > policy.band_high)


def disagree(policy: Policy, fast: float, accurate: float) -> bool:
    """True when the two models clearly give opposite answers."""
    margin = policy.disagreement_margin
    return min(fast, accurate) < 0.5 - margin and max(fast, accurate) > 0.5 + margin


def combine(policy: Policy, fast: float, accurate: float) -> float:
    """The final probability: the weighted mean of the two calibrated log-odds."""
    weight = policy.accurate_weight
    log_odds = (1 - weight) * _logit(fast) + weight * _logit(accurate)
    return 1 / (1 + math.exp(-log_odds))


# Among sure answers, errors are more frequent near the band: those are sampled more often.
AUDIT_STRATA = ((0.95, 1.0), (0.85, 2.0), (0.5, 4.0))  # (confidence from here on, multiple of the lowest rate)


def audit_rate(probability: float | None, least: float) -> float:
    """The share of sure answers with this probability that is reviewed too: `least`, up to four times that near doubt.

    Samples stratified by score keep their rate as the case's `review_propensity`, which keeps estimates unbiased
    (Horvitz and Thompson 1952). An answer without a probability is always reviewed.
    """
    if probability is None:
        return 1.0
    confidence = max(probability, 1 - probability)
    return min(1.0, least * next(times for bound, times in AUDIT_STRATA if confidence >= bound))


def audit_selected(key: str, rate: float) -> bool:
    """True for a fixed share `rate` of all keys: the random sample of sure answers for review."""
    return is_in_share(key, rate)


def _logit(probability: float) -> float:
    clipped = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))
