"""The configuration of a build: what to train, its budget, and what the automatic answers promise."""

from dataclasses import dataclass
from pathlib import Path

from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.distillation import Distillation

KINDS = ("fast", "accurate", "both")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class BuildConfig:
    """The configuration of one build.

    kind: which model is trained ("fast", "accurate" or "both"); the other one is the base's, and both are calibrated.
    search: of the fast model's parameters, "tpe" (Optuna) or "grid"; trials, seconds: its limits. epochs: limit of the
    fine-tuning of the accurate model.
    max_missed, max_false_alarms, confidence, prevalence: what the automatic answers promise (`cascade.risk`); without a
    prevalence, where as many eyes have a cataract as in the calibration photos.
    name: the first part of the release id.
    distillation: photos without a label that the base's accurate model teaches the fast model with.
    cache: a file that keeps embeddings from one build to the next; `scores.npz` beside it keeps accurate scores.
    device: where the accurate model is trained: "auto" (CUDA where there is one), "cpu" or "cuda".
    checkpoint: a folder from which a killed build resumes; the caller removes it.
    """

    kind: str = "both"
    seed: int = 0
    search: str = "tpe"
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
    device: str = "auto"
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"A release is trained on {', '.join(DEVICES)}; not on {self.device!r}.")
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
