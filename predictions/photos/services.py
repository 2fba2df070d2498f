"""Store photos. Every source (upload, batch, import) comes through `store_photo`."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, CharField, QuerySet, Subquery

from cataract.core.compiled import Compiled, Parameter
from cataract.ml.photos.duplicates import is_near
from predictions.photos import clusters, storage, stream
from predictions.photos.facts import PhotoFacts
from predictions.photos.intake import Photo
from predictions.photos.lookalikes import find_lookalikes
from predictions.photos.models import EyeImage, Split
from predictions.photos.refusals import PhotoInTrash
from predictions.releases import serving
from predictions.sites import services as sites
from predictions.sites.models import Device, Patient, Site

log = logging.getLogger(__name__)

Also = Callable[[EyeImage, bool], Any]


@dataclass(frozen=True)
class _Origin:
    """Whose photo a new one is, and an earlier one of that patient; with those a photo finds its cluster."""

    site: Site
    patient: Patient | None
    device: Device | None
    earlier: EyeImage | None


def store_photo(
    photo: Photo,
    facts: PhotoFacts,
    *,
    user: User | None,
    source: str,
    forced_split: str | None = None,
    seen: Sequence[str] | None = None,
    also: Also | None = None,
) -> tuple[EyeImage, bool]:
    """Store an examined photo, its file first and then its row; return (image, whether it is new).

    The same bytes are one image: if they are already stored, that image does not change. Eye, device and time that the
    file's header names complete `facts`. `forced_split`: see `clusters.assign_cluster`. `seen`: the hashes of the
    champion's photos, where the caller has them. `also(image, is_new)` runs in the transaction that makes the row; an
    exception in it rolls the row back. Raises BadField (eye_mismatch, site_unknown), PhotoInTrash, StorageFull.
    """
    facts = facts.completed(photo.header.facts)
    site = sites.find_site(user=user, name=facts.site) if facts.site else None
    stored_name, stored_sha256 = storage.store(photo.data, suffix=photo.suffix)
    was_seen = is_near(photo.hashes, serving.seen_hashes() if seen is None else seen)

    def write_rows() -> tuple[EyeImage, bool]:
        with transaction.atomic():
            clusters.one_at_a_time()
            alike = find_lookalikes(sha256=photo.sha256, hashes=photo.hashes)
            image, is_new = alike.same, alike.same is None
            if image is not None and image.status != EyeImage.Status.KEPT:
                raise PhotoInTrash(image.removed_at)
            if image is None:
                drawn = _drawn(photo, facts, source)
                origin = _origin(facts, user, site)
                image = EyeImage.objects.create(
                    stored_name=stored_name,
                    stored_sha256=stored_sha256,
                    source=source,
                    uploaded_by=user,
                    near_duplicate_of=next(iter(alike.twins), None),
                    **_facts_columns(photo, facts, origin),
                    **_placed(photo, [*alike.twins, origin.earlier], forced_split, was_seen, drawn["always_read"]),
                    **drawn,
                )
                # A purge of another photo with the same content may just have taken the file: it waits for this
                # transaction or has ended before it.
                storage.ensure(stored_name, photo.data)
                clusters.ask_whose_photo(image, alike.twins)
            if also is not None:
                also(image, is_new)
        return image, is_new

    try:
        return write_rows()
    except IntegrityError:  # another request stored the same bytes or patient meanwhile: find them
        return write_rows()


def _origin(facts: PhotoFacts, user: User | None, site: Site | None) -> _Origin:
    """Find the site, the patient and the device of a new photo, or make them. Call it after `one_at_a_time`.

    One query where the patient has photos here, taken with the same device.
    """
    preferred = Site.objects.preferred_by(user) if site is None else Site.objects.filter(pk=site.pk)
    patient: Patient | None = None
    earlier = _photo_of(facts.patient_key, user=user, site=site) if facts.patient_key else None
    if earlier is not None:
        site, patient = earlier.site, earlier.patient
    elif facts.patient_key:
        site = preferred.with_patient(facts.patient_key).first() or Site.objects.default()
        known = getattr(site, "known_patient", None)
        patient = known or Patient.objects.create(site=site, key=facts.patient_key)
    elif site is None:
        site = preferred.first() or Site.objects.default()
    known_device = None if earlier is None else earlier.device
    if known_device is not None and known_device.name == facts.device:
        return _Origin(site, patient, known_device, earlier)
    return _Origin(site, patient, sites.ensure_device(site=site, name=facts.device), earlier)


def _photo_of(key: str, *, user: User | None, site: Site | None) -> EyeImage | None:
    """A stored photo of this patient at that site, else at the one meant by `user`, with all that a new one shares."""
    if site is not None:
        found = _PHOTO_AT_SITE.rows(key=key, site=site.pk)
    else:
        found = _PHOTO_OF_USER.rows(key=key, user=None if user is None else user.pk)
    return next(iter(found), None)


def _photos_at(site: Parameter | Subquery) -> QuerySet[EyeImage]:
    with_rows = EyeImage.objects.select_related("site", "patient", "device", "cluster").order_by()
    return with_rows.filter(patient__site=site, patient__key=Parameter("key", CharField()))[:1]


def _site_of_user() -> Subquery:
    return Subquery(Site.objects.with_own_first(Parameter("user", BigIntegerField())).values("pk")[:1])


_PHOTO_AT_SITE = Compiled(lambda: _photos_at(Parameter("site", BigIntegerField())))
_PHOTO_OF_USER = Compiled(lambda: _photos_at(_site_of_user()))


def _may_train(facts: PhotoFacts, origin: _Origin) -> bool:
    """The consent to train with a new photo: as stated, else the site's default; never once a patient withdrew it.

    The patient was read after `one_at_a_time`, for which whoever withdraws a consent waits too.
    """
    if origin.patient is not None and origin.patient.consent_withdrawn_at is not None:
        return False
    return origin.site.trains_by_default if facts.may_train is None else facts.may_train


def _drawn(photo: Photo, facts: PhotoFacts, source: str) -> dict[str, Any]:
    """Whether a new photo is in the stream that people always read, and at which rate; an import never is."""
    if source == EyeImage.Source.IMPORT:
        return {"always_read": False, "always_read_rate": None}
    rate = stream.rate_of_week()
    is_drawn = stream.is_drawn(patient_key=facts.patient_key, sha256=photo.sha256, rate=rate)
    return {"always_read": is_drawn, "always_read_rate": rate}


def _placed(
    photo: Photo, related: Sequence[EyeImage | None], forced_split: str | None, was_seen: bool, held_out: bool
) -> dict[str, Any]:
    """The cluster and the split of a new image.

    A photo that the champion was trained on goes to `train`; a new cluster that is `held_out`, to calibration or test.
    """
    if was_seen:
        forced_split = Split.TRAIN
    elif held_out and forced_split is None:
        forced_split = stream.held_out_split(photo.sha256)
    cluster = clusters.assign_cluster(sha256=photo.sha256, related=related, forced_split=forced_split)
    return {"cluster": cluster, "split": clusters.split_of(cluster, forced_split=forced_split)}


def _facts_columns(photo: Photo, facts: PhotoFacts, origin: _Origin) -> dict[str, Any]:
    """The columns of a new image that say what is known of it."""
    return {
        "site": origin.site,
        "patient": origin.patient,
        "device": origin.device,
        "eye": facts.eye,
        "captured_at": facts.captured_at,
        "may_train": _may_train(facts, origin),
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
        "retake_of": _retaken(facts, origin.patient),
    }


def _retaken(facts: PhotoFacts, patient: Patient | None) -> EyeImage | None:
    """The photo that the new one replaces; None where it turns out to show another patient or the other eye."""
    if facts.retake_of is None or patient is None:
        return None
    return EyeImage.objects.filter(pk=facts.retake_of, patient=patient, eye=facts.eye).first()
