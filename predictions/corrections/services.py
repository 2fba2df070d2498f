"""Correct the eye or the patient of a photo, withdraw and restore it, and answer whose photo it is.

The prediction and the readings stay as they are: they are about the photo. Its cluster and its split follow the
patient, and frozen datasets do not change.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import BadField, WrongStatus
from predictions.answering.models import FinalResult, Prediction
from predictions.answering.services import predict_again
from predictions.corrections.models import Correction
from predictions.photos import clusters, intake, storage
from predictions.photos.models import EyeImage, WrongPatientCheck, WrongPatientCheckQuerySet
from predictions.photos.refusals import BadPhoto
from predictions.sites.services import ensure_patient
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint

Kind = Correction.Kind


def correct_photo(*, image: EyeImage, eye: str, patient_key: str, reason: str, user: User) -> list[Correction]:
    """Correct the eye, the patient or both, whichever differs from what is stored.

    Raises BadField when neither does, and what `correct_eye` and `correct_patient` raise.
    """
    made = []
    with transaction.atomic():
        if eye != image.eye:
            made.append(correct_eye(image=image, eye=eye, reason=reason, user=user))
        if patient_key != image.patient_key:
            made.append(correct_patient(image=image, patient_key=patient_key, reason=reason, user=user))
    if not made:
        raise BadField("eye", "Eye and patient are as stored already. Change what is wrong.", code="unchanged")
    return made


def correct_eye(*, image: EyeImage, eye: str, reason: str, user: User) -> Correction:
    """Store which eye the photo shows. Raises BadField without a reason or a change, WrongStatus."""
    before = image.eye
    if eye == before:
        raise BadField("eye", f"The photo is stored as {eye} already.", code="unchanged")
    if eye not in EyeImage.Eye.known():
        raise BadField("eye", "The eye is OD or OS.")
    with transaction.atomic():
        _change(image, expected={"eye": before}, eye=eye)
        return _record(image, Kind.WRONG_EYE, before=before, after=eye, reason=reason, user=user)


def correct_patient(*, image: EyeImage, patient_key: str, reason: str, user: User) -> Correction:
    """Give the photo to another patient of its site; its cluster and split follow.

    Raises BadField without a reason or a change, WrongStatus, DecodersBusy.
    """
    before = image.patient_key
    if patient_key == before:
        raise BadField("patient", f"The photo belongs to {patient_key} already.", code="unchanged")
    hashes = _hashes(image)
    with transaction.atomic():
        patient = ensure_patient(site=image.site, key=patient_key)
        if patient is None:
            raise BadField("patient", "State the patient's pseudonym.")
        _change(image, expected={"patient": image.patient_id})
        twins = clusters.move_to_patient(image, patient=patient, hashes=hashes)
        clusters.ask_whose_photo(image, twins)
        return _record(image, Kind.WRONG_PATIENT, before=before, after=patient_key, reason=reason, user=user)


def withdraw_photo(*, image: EyeImage, kind: str, reason: str, user: User) -> Correction:
    """Take a photo that was sent by mistake (`kind`: one of Correction.WITHDRAWS) out of lists, queue and datasets.

    It stays on record with its reason. Raises BadField without a reason, WrongStatus when it is withdrawn already.
    """
    if kind not in Correction.WITHDRAWS:
        raise BadField("kind", "A photo is withdrawn as wrong_photo or duplicate.")
    with transaction.atomic():
        _change(image, expected={}, withdrawn_at=timezone.now())
        return _record(image, Kind(kind), reason=reason, user=user)


def restore_photo(*, image: EyeImage, reason: str, user: User) -> Correction:
    """Bring a withdrawn photo back. If it waited for clinicians, it is predicted again and so comes to them again.

    Raises BadField without a reason, WrongStatus when it is not withdrawn.
    """
    with transaction.atomic():
        withdrawn = EyeImage.objects.filter(pk=image.pk, withdrawn_at__isnull=False)
        if not withdrawn.update(withdrawn_at=None, corrected_at=timezone.now()):
            raise WrongStatus("This photo is not withdrawn.")
        newest = image.predictions.exclude(status=Prediction.Status.QUEUED).order_by("-created_at").first()
        told = FinalResult.objects.standing().by_people().filter(prediction__image=image, status__in=FinalResult.TOLD)
        if newest is not None and newest.needs_review and not told.exists():
            predict_again(image=image)
        return _record(image, Kind.RESTORED, reason=reason, user=user)


def resolve_check(*, check: WrongPatientCheck, belongs_to: EyeImage | None, reason: str, user: User) -> None:
    """Answer whose photos these are: both of the patient of `belongs_to`, or of different patients (None).

    Raises BadField without a reason or for patients of two sites, WrongStatus when it is resolved already.
    """
    _require(reason)
    with transaction.atomic():
        if belongs_to is None:
            outcome = WrongPatientCheck.Outcome.KEPT
            if not _resolve(WrongPatientCheck.objects.filter(pk=check.pk), outcome, reason=reason, user=user):
                raise WrongStatus("This check is answered already.")
            return
        if check.image.site_id != check.twin.site_id:
            raise BadField("answer", "The photos belong to two sites, and each site has its own patients.")
        other = check.twin if belongs_to.pk == check.image_id else check.image
        correct_patient(image=other, patient_key=belongs_to.patient_key, reason=reason, user=user)


def _hashes(image: EyeImage) -> list[str] | None:
    """The eight dihedral hashes of a stored photo; None when its file is lost or cannot be read any more."""
    try:
        found = intake.examine(storage.read(image.stored_name), name=image.stored_name).hashes
    except (FileNotFoundError, BadPhoto):
        return None
    return [image.perceptual_hash, *found]


def _change(image: EyeImage, *, expected: dict[str, Any], **values: Any) -> None:
    """Set `values` on a photo that is in use and is as `expected`, in one UPDATE. Raises WrongStatus otherwise."""
    in_use = EyeImage.objects.in_use().filter(pk=image.pk)
    if not in_use.filter(**expected).update(corrected_at=timezone.now(), **values):
        if in_use.exists():
            raise WrongStatus("This photo was corrected in the meantime. Look at it again.")
        raise WrongStatus("This photo is withdrawn. Restore it first.")


def _record(
    image: EyeImage, kind: Correction.Kind, *, reason: str, user: User, before: str = "", after: str = ""
) -> Correction:
    """Store a correction, resolve the checks that it answers, and tell the subscribers."""
    _require(reason)
    correction = Correction.objects.create(
        image=image, kind=kind, before=before, after=after, reason=reason.strip(), by=user
    )
    record(Act.CORRECTED, about=image, user=user, correction=str(correction.pk), how=str(kind))
    image.refresh_from_db()
    gone = Q(image__withdrawn_at__isnull=False) | Q(twin__withdrawn_at__isnull=False)
    answered = WrongPatientCheck.objects.about(image.pk).filter(Q(image__patient=F("twin__patient")) | gone)
    _resolve(answered, WrongPatientCheck.Outcome.CORRECTED, reason=reason, user=user)
    prediction = image.predictions.order_by("-created_at").first()
    if prediction is not None:
        data = {"prediction": str(prediction.pk), "address": prediction.api_url, "kind": kind.value}
        event = WebhookEndpoint.Event.PHOTO_CORRECTED
        webhooks.record(event, data, owner_id=image.uploaded_by_id, is_private=True)
    return correction


def _resolve(checks: WrongPatientCheckQuerySet, outcome: str, *, reason: str, user: User) -> int:
    values = {"outcome": outcome, "reason": reason.strip(), "resolved_by": user, "resolved_at": timezone.now()}
    return checks.move(WrongPatientCheck.Status.RESOLVED, **values)


def _require(reason: str) -> None:
    if not reason.strip():
        raise BadField("reason", "Say why, in a few words.")
