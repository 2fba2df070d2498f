"""A photo that was sent becomes rows: stored for good, in its cluster, with a prediction that waits for its answer."""

import logging
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from predictions.photos import clusters, intake, services, storage
from predictions.photos.models import EyeImage, Split
from predictions.releases import serving


def create_image(
    photo: intake.Photo,
    stored_name: str,
    stored_sha256: str,
    *,
    user: User | None,
    source: str,
    forced_split: str | None = None,
    **facts: Any,
) -> EyeImage:
    """The row of a stored photo, in its cluster. A photo that the champion was trained on never tests anything."""
    if clusters.is_near(photo.hashes, serving.seen_hashes()):
        forced_split = Split.TRAIN
    cluster, twin = clusters.assign_cluster(
        sha256=photo.sha256, hashes=photo.hashes, patient_key=facts["patient_key"], forced_split=forced_split
    )
    return EyeImage.objects.create(
        sha256=photo.sha256,
        stored_sha256=stored_sha256,
        stored_name=stored_name,
        original_name=photo.name,
        format=photo.header.format,
        width=photo.header.width,
        height=photo.header.height,
        size=len(photo.data),
        orientation=photo.header.orientation,
        colour_profile=photo.header.colour_profile[:64],
        perceptual_hash=photo.hashes[0],
        capture=photo.header.facts,
        quality=photo.quality,
        cluster=cluster,
        split=clusters.split_of(cluster, forced_split=forced_split),
        near_duplicate_of=twin,
        source=source,
        uploaded_by=user,
        **facts,
    )


log = logging.getLogger(__name__)


def import_photo(
    *,
    data: bytes,
    user: User | None,
    name: str = "",
    patient_key: str = "",
    eye: str = "",
    site: str = "",
    may_train: bool = True,
    forced_split: str | None = None,
) -> tuple[EyeImage, bool]:
    """Store one photo without asking for an answer; return (image, whether it is new). The same bytes are one image.

    Raises PhotoRefused and StorageFull.
    """
    photo = intake.examine(data, name=name)
    known = EyeImage.objects.filter(sha256=photo.sha256).first()
    if known is not None:
        return known, False
    stored_name, stored_sha256 = storage.store(photo.data, suffix=photo.suffix)
    try:
        with transaction.atomic():
            image = services.create_image(
                photo,
                stored_name,
                stored_sha256,
                user=user,
                source=EyeImage.Source.IMPORT,
                may_train=may_train,
                patient_key=patient_key,
                eye=eye,
                site=site,
                forced_split=forced_split,
            )
    except IntegrityError:
        return EyeImage.objects.get(sha256=photo.sha256), False
    return image, True
