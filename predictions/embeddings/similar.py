"""Similar photos by cosine similarity of embeddings, never of the same patient."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Q

from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import unpack
from predictions.photos.models import EyeImage


def nearest(image: EyeImage, candidates: Sequence[UUID], *, encoder: str, count: int) -> list[tuple[UUID, float]]:
    """The ids of the `count` images among `candidates` most like `image`, with their cosine, nearest first.

    Images of the same cluster or patient are left out. Empty when the encoder has not seen the image.
    """
    own = Embedding.objects.filter(image=image, encoder=encoder).values_list("vector", flat=True).first()
    if own is None:
        return []
    same = Q(image=image) | Q(image__cluster=image.cluster_id)
    if image.patient_id is not None:
        same |= Q(image__patient=image.patient_id)
    rows = list(
        Embedding.objects.filter(encoder=encoder, image__in=candidates).exclude(same).values_list("image_id", "vector")
    )
    if not rows:
        return []
    query = _unit(unpack(own)[None, :])[0]
    others = _unit(unpack(b"".join(bytes(vector) for _, vector in rows)).reshape(len(rows), -1))
    cosines = others @ query
    order = np.argsort(-cosines, kind="stable")[:count]
    return [(rows[index][0], float(cosines[index])) for index in order]


def _unit(rows: Any) -> Any:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
