"""The labels that may train, and the rows of a frozen dataset: what fits, checks and comparisons read."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import F, QuerySet

from cataract.ml.arrays import Floats
from predictions.embeddings.models import Embedding
from predictions.photos.models import EyeImage, Split
from review.labels.models import Label
from training.datasets.models import Dataset, DatasetItem

CLASSES = ("normal", "cataract")


def usable_labels() -> QuerySet[Label]:
    """Labels that may train: standing, blind or adjudicated or imported, consented, of an image whose split stands."""
    return (
        Label.objects.training()
        .exclude(provenance=Label.Provenance.AFTER_AI)
        .exclude(image__split=Split.EXCLUDED)
        .filter(image__split=F("image__cluster__split"))
        .select_related("image")
        .order_by("image__sha256")
    )


def doubtable_labels() -> list[Label]:
    """The usable labels that a search for wrong ones reads: never those of the test split."""
    return list(usable_labels().exclude(image__split=Split.TEST))


def training_rows(dataset: Dataset) -> QuerySet[DatasetItem]:
    """The rows a fit may read: training and calibration, whose image has not left its split since the freeze."""
    return _rows(dataset, Split.TRAIN, Split.CALIBRATION)


def stored_vectors(encoder: str, photos: QuerySet[Any]) -> dict[str, Floats]:
    """What this encoder made of those of the photos (ids) that it has seen: {sha256: (D,) float32}."""
    rows = Embedding.objects.filter(encoder=encoder, image__in=photos).values_list("image__sha256", "vector")
    return {sha256: np.frombuffer(bytes(vector), dtype="<f4") for sha256, vector in rows.iterator()}


def unlabelled_photos(until: datetime) -> QuerySet[EyeImage]:
    """Photos of the training split that, at that time, nobody had labelled, nor any of their cluster: a teacher may."""
    labelled = Label.objects.filter(created_at__lte=until).values("image__cluster")
    return (
        EyeImage.objects.filter(split=Split.TRAIN, cluster__split=Split.TRAIN, may_train=True, created_at__lte=until)
        .exclude(cluster__in=labelled)
        .order_by("sha256")
    )


def test_rows(dataset: Dataset) -> QuerySet[DatasetItem]:
    """The frozen test rows. Only the gates read them."""
    return _rows(dataset, Split.TEST)


def _rows(dataset: Dataset, *splits: str) -> QuerySet[DatasetItem]:
    return (
        dataset.items.filter(split__in=splits, image__split=F("split"), image__may_train=True)
        .select_related("image")
        .order_by("image__sha256")
    )


def vector_cache() -> Path:
    """What the encoder made of the photos of the last run, so that the next one reads only new photos."""
    return Path(settings.DATA_DIR) / "training" / "photos.npz"
