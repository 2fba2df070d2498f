"""Labels become a release: the frozen data, the run, and the comparison on which a person decides."""

from training.models.datasets import Dataset, DatasetItem, LabelCheck, LabelCheckQuerySet
from training.models.promotions import Comparison, FlipCause, LiveTestReview, PromotionRequest, ReleaseReview
from training.models.runs import TrainingPolicy, TrainingRun, TrainingRunQuerySet, TriggerFiring

__all__ = [
    "Comparison",
    "Dataset",
    "DatasetItem",
    "FlipCause",
    "LabelCheck",
    "LabelCheckQuerySet",
    "LiveTestReview",
    "PromotionRequest",
    "ReleaseReview",
    "TrainingPolicy",
    "TrainingRun",
    "TrainingRunQuerySet",
    "TriggerFiring",
]
