"""The measures of stored photos, as the statistics take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import numpy as np

from cataract.ml.labels import NORMAL
from cataract.ml.statistics.monitoring import Sample
from predictions.answering.models import Prediction
from predictions.drift.models import Member
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import unpack
from predictions.photos.models import EyeImage

QUALITY: Final = ("brightness", "contrast", "sharpness", "short_side")
SCORES: Final = ("fast_probability", "probability")
DISAGREEMENT: Final = "disagreement"


@dataclass(frozen=True)
class Photos:
    """What is known of some answered photos, in their order; deleted and withdrawn ones are left out."""

    members: list[Member]
    answered_at: list[datetime]
    sample: Sample
    probabilities: list[float]
    called: list[bool]


def read_photos(members: Sequence[Member], *, encoder: str) -> Photos:
    """Two queries. probabilities: NaN where no model judged. called: "cataract" or "cannot judge"; people see both."""
    names = ("pk", "image_id", "image__quality", "decision", "done_at", *SCORES, "accurate_probability")
    found = Prediction.objects.filter(
        pk__in=[pk for pk, _ in members], image__status=EyeImage.Status.KEPT, image__withdrawn_at__isnull=True
    ).values(*names)
    rows = {str(row["pk"]): row for row in found}
    kept = [member for member in members if member[0] in rows]
    ordered = [rows[pk] for pk, _ in kept]
    numbers = {name: np.array([_number(row["image__quality"].get(name)) for row in ordered]) for name in QUALITY}
    numbers |= {name: np.array([_number(row[name]) for row in ordered]) for name in SCORES}
    accurate = np.array([_number(row["accurate_probability"]) for row in ordered])
    numbers[DISAGREEMENT] = np.abs(numbers["fast_probability"] - accurate)
    answered = [row for row in ordered if row["decision"]]
    return Photos(
        members=kept,
        answered_at=[row["done_at"] for row in ordered],
        sample=Sample(numbers, _embeddings([row["image_id"] for row in ordered], encoder)),
        probabilities=[_number(row["probability"]) for row in answered],
        called=[row["decision"] != NORMAL for row in answered],
    )


def _embeddings(images: Sequence[UUID], encoder: str) -> Any:
    found = Embedding.objects.filter(image__in=images, encoder=encoder).values_list("image_id", "vector")
    vectors = {image: unpack(vector) for image, vector in found}
    width = len(next(iter(vectors.values()), [0]))
    table = np.full((len(images), width), np.nan)
    for place, image in enumerate(images):
        if image in vectors:
            table[place] = vectors[image]
    return table


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
