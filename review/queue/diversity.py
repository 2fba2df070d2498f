"""Not ten copies of one problem in a row: cases that look like what this reader has just seen wait a little."""

from collections.abc import Iterable, Sequence

import numpy as np
from django.db.models import Q

from predictions.embeddings.models import Embedding
from predictions.releases.models import Release
from review.cases.models import Reading, ReviewCase

ALIKE = 0.98  # cosine of two embeddings from which photos count as alike
RECENT = 5  # so many of the reader's last cases are looked back at


def spread(cases: Sequence[ReviewCase], reader_id: int) -> list[ReviewCase]:
    """These cases, those alike to the reader's last ones behind the others of their band. No embedding, no change.

    Each case carries the annotations `skipped` and `band` by which it was ordered. Only the embeddings of the
    champion's encoder are compared: two encoders have nothing in common.
    """
    met = _recent_images(reader_id)
    vectors = _vectors({case.image_id for case in cases} | met)
    seen = np.array([vectors[image] for image in met if image in vectors])

    def is_alike(case: ReviewCase) -> bool:
        vector = vectors.get(case.image_id)
        return vector is not None and bool(len(seen)) and float((seen @ vector).max()) >= ALIKE

    return sorted(cases, key=lambda case: (case.skipped, case.band, is_alike(case)))  # type: ignore[attr-defined]


def _recent_images(reader_id: int) -> set[object]:
    """The photos of the last cases that this reader read, and of those that wait in the reader's page."""
    read = Reading.objects.filter(reader_id=reader_id).order_by("-blind_at")[:RECENT]
    held = ReviewCase.objects.filter(claimed_by_id=reader_id)
    return {*read.values_list("case__image_id", flat=True), *held.values_list("image_id", flat=True)}


def _vectors(images: Iterable[object]) -> dict[object, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Unit vectors by image."""
    serving = Release.objects.filter(status=Release.Status.CHAMPION).values("encoder")
    rows = Embedding.objects.filter(Q(image__in=list(images)), encoder__in=serving).values_list("image_id", "vector")
    found = {image: np.frombuffer(bytes(vector), dtype="<f4") for image, vector in rows}
    return {image: vector / norm for image, vector in found.items() if (norm := np.linalg.norm(vector)) > 0}
