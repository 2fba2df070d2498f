"""Store photos. Every source (upload, batch, import) comes through `store_photo`."""

import logging
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.ml.photos.duplicates import is_near
from predictions.photos import clusters, storage, stream
from predictions.photos.facts import PhotoFacts
from predictions.photos.intake import Photo
from predictions.photos.models import EyeImage, Split
from predictions.photos.refusals import PhotoInTrash
from predictions.releases import serving
from predictions.sites import services as sites
from predictions.sites.models import Patient, Site

log = logging.getLogger(__name__)

Also = Callable[[EyeImage, bool], Any]


def store_photo(
    photo: Photo,
    facts: PhotoFacts,
    *,
    user: User | None,
    source: str,
    forced_split: str | None = None,
    also: Also | None = None,
) -> tuple[EyeImage, bool]:
    """Store an examined photo, its file first and then its row; return (image, whether it is new).

    The same bytes are one image: if they are already stored, that image does not change. Eye, device and time that the
    file's header names complete `facts`. `forced_split`: see `clusters.assign_cluster`. `also(image, is_new)` runs in
    the transaction that makes the row; an exception in it rolls the row back. Raises BadField (eye_mismatch,
    site_unknown), PhotoInTrash, StorageFull.
    """
    facts = facts.completed(photo.header.facts)
    site = sites.find_site(user=user, name=facts.site)
    stored_name, stored_sha256 = storage.store(photo.data, suffix=photo.suffix)

    def write_rows() -> tuple[EyeImage, bool]:
        with transaction.atomic():
            image = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).filter(sha256=photo.sha256).first()
            is_new = image is None
            if image is not None and image.status != EyeImage.Status.KEPT:
                raise PhotoInTrash(image.removed_at)
            if image is None:
                drawn = _drawn(photo, facts, source)
                placed, twins = _placed(photo, facts, site, forced_split, held_out=drawn["always_read"])
                image = EyeImage.objects.create(
                    stored_name=stored_name,
                    stored_sha256=stored_sha256,
                    source=source,
                    uploaded_by=user,
                    **placed,
                    **drawn,
                )
                # A purge of another photo with the same content may just have taken the file: it waits for this
                # transaction or has ended before it.
                storage.ensure(stored_name, photo.data)
                clusters.ask_whose_photo(image, twins)
            if also is not None:
                also(image, is_new)
        return image, is_new

    try:
        return write_rows()
    except IntegrityError:  # another request stored the same bytes meanwhile: find its image
        return write_rows()


def _may_train(facts: PhotoFacts, site: Site, patient: Patient | None) -> bool:
    """The consent to train with a new photo: as stated, else the site's default; never once a patient withdrew it."""
    if patient is not None and Patient.objects.filter(pk=patient.pk, consent_withdrawn_at__isnull=False).exists():
        return False  # read again under the lock of `assign_cluster`: it may have been withdrawn just now
    return site.trains_by_default if facts.may_train is None else facts.may_train


def _drawn(photo: Photo, facts: PhotoFacts, source: str) -> dict[str, Any]:
    """Whether a new photo is in the stream that people always read, and at which rate; an import never is."""
    if source == EyeImage.Source.IMPORT:
        return {"always_read": False, "always_read_rate": None}
    rate = stream.rate_of_week()
    is_drawn = stream.is_drawn(patient_key=facts.patient_key, sha256=photo.sha256, rate=rate)
    return {"always_read": is_drawn, "always_read_rate": rate}


def _placed(
    photo: Photo, facts: PhotoFacts, site: Site, forced_split: str | None, *, held_out: bool
) -> tuple[dict[str, Any], list[EyeImage]]:
    """The columns of a new image, with its site, patient, device and cluster; and its near-duplicates, oldest first.

    A photo that the champion was trained on goes to `train`; a new cluster that is `held_out`, to calibration or test.
    """
    if is_near(photo.hashes, serving.seen_hashes()):
        forced_split = Split.TRAIN
    elif held_out and forced_split is None:
        forced_split = stream.held_out_split(photo.sha256)
    patient = sites.ensure_patient(site=site, key=facts.patient_key)
    cluster, twins = clusters.assign_cluster(
        sha256=photo.sha256, hashes=photo.hashes, patient=patient, forced_split=forced_split
    )
    columns = {
        "site": site,
        "patient": patient,
        "device": sites.ensure_device(site=site, name=facts.device),
        "eye": facts.eye,
        "captured_at": facts.captured_at,
        "may_train": _may_train(facts, site, patient),
        "sha256": photo.sha256,
        "original_name": photo.name,
        "format": photo.header.format,
        "width": photo.header.width,
        "height": photo.header.height,
        "size": len(photo.data),
        "orientation": photo.header.orientation,
        "colour_profile": photo.header.colour_profile[:64],
        "perceptual_hash": photo.hashes[0],
        "capture": photo.header.facts,
        "quality": photo.quality,
        "cluster": cluster,
        "split": clusters.split_of(cluster, forced_split=forced_split),
        "near_duplicate_of": twins[0] if twins else None,
        "retake_of": _retaken(facts, patient),
    }
    return columns, twins


def _retaken(facts: PhotoFacts, patient: Patient | None) -> EyeImage | None:
    """The photo that the new one replaces; None where it turns out to show another patient or the other eye."""
    if facts.retake_of is None or patient is None:
        return None
    return EyeImage.objects.filter(pk=facts.retake_of, patient=patient, eye=facts.eye).first()
