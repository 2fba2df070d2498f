"""Image embeddings that exist already, for fits that then encode only new photos."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from cataract.ml.arrays import Floats
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import unpack


def stored_vectors(encoder: str, photos: QuerySet[Any]) -> dict[str, Floats]:
    """The stored embeddings of `photos` (a query of ids) by this encoder: {sha256: (D,) float32}."""
    rows = Embedding.objects.filter(encoder=encoder, image__in=photos).values_list("image__sha256", "vector")
    return {sha256: unpack(vector) for sha256, vector in rows.iterator()}


def vector_cache() -> Path:
    """The file with the vectors of the last run."""
    return Path(settings.DATA_DIR) / "training" / "photos.npz"
