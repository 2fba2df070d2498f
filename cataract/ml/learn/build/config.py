"""The configuration of a build: what to train, its budget, and what the automatic answers promise."""

from dataclasses import dataclass
from pathlib import Path

from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.distillation import Distillation

KINDS = ("fast", "accurate", "both")


@dataclass(frozen=True)
class BuildConfig:
    """The configuration of one build.

    kind: which model is trained ("fast", "accurate" or "both"); the other one is the base's, and both are calibrated.
    trials, seconds: limits of the search for the fast model. epochs: limit of the fine-tuning of the accurate model.
    max_missed, max_false_alarms, confidence, prevalence: what the automatic answers promise (`cascade.risk`); without a
    prevalence, where as many eyes have a cataract as in the calibration photos.
    name: the first part of the release id.
    distillation: photos without a label that the base's accurate model teaches the fast model with.
    cache: a file that keeps embeddings from one build to the next; `scores.npz` beside it keeps accurate scores.
    checkpoint: a folder from which a killed build resumes; the caller removes it.
    """

    kind: str = "both"
    seed: int = 0
    trials: int = 20
    seconds: float = 600.0
    epochs: int = 40
    max_missed: float = RiskLimits.missed
    max_false_alarms: float = RiskLimits.false_alarms
    confidence: float = RiskLimits.confidence
    prevalence: float | None = None
    name: str = "retrained"
    distillation: Distillation | None = None
    cache: Path | None = None
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"A release is built of kind {', '.join(KINDS)}; not {self.kind!r}.")

    @property
    def limits(self) -> RiskLimits:
        return RiskLimits(self.max_missed, self.max_false_alarms, self.confidence)

    @property
    def trains_fast(self) -> bool:
        return self.kind != "accurate"

    @property
    def trains_accurate(self) -> bool:
        return self.kind != "fast"
