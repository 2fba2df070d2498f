"""Spread similar photos: a case that looks like one this reader has just seen waits a little."""

from collections.abc import Iterable, Sequence

import numpy as np
from django.db.models import Q

from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import unpack
from predictions.releases.models import Release
from review.cases.models import Reading, ReviewCase

SIMILAR = 0.98  # photos count as similar from this cosine of their embeddings
RECENT = 5  # number of the reader's last cases to compare with


def spread(cases: Sequence[ReviewCase], reader_id: int) -> list[ReviewCase]:
    """These cases, with those similar to the reader's last ones moved behind the others of their band.

    Each case carries the annotations `skipped` and `band` of `policy.in_order`. Only embeddings of the champion's
    encoder are compared; a photo without one stays in place.
    """
    recent = _recent_images(reader_id)
    vectors = _vectors({case.image_id for case in cases} | recent)
    seen = np.array([vectors[image] for image in recent if image in vectors])

    def is_similar(case: ReviewCase) -> bool:
        vector = vectors.get(case.image_id)
        return vector is not None and bool(len(seen)) and float((seen @ vector).max()) >= SIMILAR

    return sorted(cases, key=lambda case: (case.skipped, case.band, is_similar(case)))  # type: ignore[attr-defined]


def _recent_images(reader_id: int) -> set[object]:
    """The photos this reader read last, and those claimed now."""
    read = Reading.objects.filter(reader_id=reader_id).order_by("-blind_at")[:RECENT]
    claimed = ReviewCase.objects.filter(claimed_by_id=reader_id)
    return {*read.values_list("case__image_id", flat=True), *claimed.values_list("image_id", flat=True)}


def _vectors(images: Iterable[object]) -> dict[object, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Unit vectors by image."""
    encoder = Release.objects.champions().values("encoder")
    rows = Embedding.objects.filter(Q(image__in=list(images)), encoder__in=encoder).values_list("image_id", "vector")
    vectors = {image: unpack(vector) for image, vector in rows}
    return {image: vector / norm for image, vector in vectors.items() if (norm := np.linalg.norm(vector)) > 0}
