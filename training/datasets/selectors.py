"""Reads: the labels that may train, and the rows of a frozen dataset."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import F, QuerySet

from cataract.ml.labels import CLASSES
from predictions.photos.models import EyeImage, Split
from review.labels.models import Label
from training.change_control.rules import rules
from training.datasets.models import Dataset, DatasetItem


class LabelRow(NamedTuple):
    """A label with what a dataset takes of its photo. Model instances of so many labels would take five times as long.

    label, image: their ids. device: its name, None where none is stated.
    """

    label: UUID
    image: UUID
    sha256: str
    answer: str
    weight: float
    provenance: str
    split: str
    cluster: int
    always_read: bool
    site: str
    device: str | None


_COLUMNS = (
    "pk", "image_id", "image__sha256", "answer", "weight", "provenance", "image__split", "image__cluster_id",
    "image__always_read", "image__site__name", "image__device__name",
)  # fmt: skip


def usable_labels() -> QuerySet[Label]:
    """Labels that may train: standing, consented, not given after seeing the AI, of an image that keeps its split."""
    return (
        Label.objects.training()
        .exclude(provenance=Label.Provenance.AFTER_AI)
        .exclude(image__split=Split.EXCLUDED)
        .filter(image__split=F("image__cluster__split"))
        .select_related("image__site", "image__device")
        .order_by("image__sha256")
    )


def dataset_labels() -> tuple[list[LabelRow], list[str]]:
    """The labels that a dataset frozen now would hold; and the splits that only photos of the stream are taken from.

    Calibration and test take the photos of patients that are always read alone, and so unweighted, once there are
    enough of each class: those describe all photos, where the others are mostly doubtful ones.
    """
    rows = [LabelRow(*values) for values in usable_labels().values_list(*_COLUMNS)]
    splits = [
        split.value
        for split in (Split.CALIBRATION, Split.TEST)
        if _stream_suffices((row.answer, row.cluster) for row in rows if row.split == split and row.always_read)
    ]
    return [row for row in rows if row.split not in splits or row.always_read], splits


def _stream_suffices(drawn: Iterable[tuple[str, int]]) -> bool:
    """Whether these photos, each an answer and a cluster, are enough alone."""
    patients = Counter(answer for answer, _ in set(drawn))
    return min(patients[answer] for answer in CLASSES) >= int(rules()["always_read"]["min_clusters"])


def test_labels() -> tuple[list[Label], bool]:
    """The labelled photos of the test split as of today, and whether only those of the stream are taken.

    A photo never leaves the test split, so this set grows with every label, from dataset to dataset. As in a dataset,
    the photos of patients that are always read are enough alone once there are enough of each class.
    """
    labels = list(usable_labels().filter(image__split=Split.TEST))
    is_stream = _stream_suffices((x.answer, x.image.cluster_id) for x in labels if x.image.always_read)
    return [label for label in labels if label.image.always_read or not is_stream], is_stream


def checkable_labels() -> list[Label]:
    """The usable labels in which a label check looks for wrong ones: never those of the test split."""
    return list(usable_labels().exclude(image__split=Split.TEST))


def training_rows(dataset: Dataset) -> QuerySet[DatasetItem]:
    """The rows that a fit may read: training and calibration, of images that have kept their split since the freeze."""
    return _rows(dataset, Split.TRAIN, Split.CALIBRATION)


def unlabelled_photos(until: datetime) -> QuerySet[EyeImage]:
    """Photos of the training split that had no label at that time, nor had any of their cluster: for distillation."""
    labelled = Label.objects.filter(created_at__lte=until).values("image__cluster")
    return (
        EyeImage.objects.in_use()
        .filter(split=Split.TRAIN, cluster__split=Split.TRAIN, may_train=True, created_at__lte=until)
        .exclude(cluster__in=labelled)
        .order_by("sha256")
    )


def _rows(dataset: Dataset, *splits: str) -> QuerySet[DatasetItem]:
    kept = EyeImage.Status.KEPT
    return (
        dataset.items.filter(split__in=splits, image__split=F("split"), image__may_train=True)
        .filter(image__status=kept, image__withdrawn_at__isnull=True)
        .select_related("image__site", "image__device")
        .order_by("image__sha256")
    )
