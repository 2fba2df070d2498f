"""The photos behind the preview of a run: those that it would learn from or be measured on, and those left out."""

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import QuerySet

from cataract.ml.labels import CLASSES
from predictions.photos.models import EyeImage, Split
from review.labels.models import Label
from training.datasets.selectors import usable_labels
from training.datasets.services import why_left_out

SPLITS = (Split.TRAIN.value, Split.CALIBRATION.value, Split.TEST.value)
MOST = 2_000  # left-out labels that a page goes through


class LabelledPhoto(NamedTuple):
    """A label with its photo; why: the reason why a run leaves it out, empty where it does not."""

    label: Label
    why: str = ""


def used(split: str, answer: str) -> QuerySet[Label] | None:
    """The labels of one cell of the preview's table, the newest first; None for a cell that does not exist."""
    if split not in SPLITS or answer not in CLASSES:
        return None
    labels = usable_labels().filter(image__split=split, answer=answer).select_related("image__patient")
    return labels.order_by("-created_at")


def left_out(most: int = MOST) -> list[LabelledPhoto]:
    """Standing labels that a run leaves out, each with the reason, the newest first."""
    kept = Label.objects.standing().filter(image__status=EyeImage.Status.KEPT)
    labels = kept.exclude(pk__in=usable_labels().values("pk"))
    labels = labels.select_related("image__cluster", "image__patient", "image__site").order_by("-created_at")
    chosen = list(labels[:most])
    best = set(Label.objects.best().filter(pk__in=[label.pk for label in chosen]).values_list("pk", flat=True))
    return [LabelledPhoto(label, why_left_out(label, is_best=label.pk in best)) for label in chosen]


def newest(count: int) -> Sequence[LabelledPhoto]:
    """The newest labels that a run would use."""
    return [LabelledPhoto(label) for label in usable_labels().order_by("-created_at")[:count]]
