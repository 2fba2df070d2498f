"""Record outcomes, one or many, and who has been shown one."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import BadField, DomainError
from predictions.answering.disclosures import record_shown
from predictions.answering.models import Prediction
from predictions.sites.models import Patient
from predictions.sites.services import find_site
from review.outcomes.facts import OutcomeFacts
from review.outcomes.labelling import label_photos
from review.outcomes.models import Outcome


class OutcomeChanged(DomainError):
    """The outcome to correct has been corrected before, or two people record the same one at once."""

    code, status = "outcome_changed", 409

    def __init__(self) -> None:
        super().__init__("This outcome has changed since. Reload the page and look at it again.")


def record_outcome(*, user: User, facts: OutcomeFacts, corrects: Outcome | None = None) -> Outcome:
    """Store an outcome and label the photos it speaks about; return the stored one where it says the same.

    It supersedes the outcome that it `corrects`, and another one of the same eye and day. Raises BadField for an
    unknown site or patient, OutcomeChanged.
    """
    try:
        with transaction.atomic():
            outcome = _store(user, facts, corrects)
            patients = {outcome.patient_id} | ({corrects.patient_id} if corrects is not None else set())
            label_photos(patients=patients)
            disclose(outcomes=[outcome], user=user)
    except IntegrityError:
        raise OutcomeChanged from None
    return outcome


def record_outcomes(*, user: User, rows: Sequence[tuple[int, OutcomeFacts]]) -> tuple[int, dict[str, list[str]]]:
    """Store the outcomes of the numbered rows of a table: all, or none where a row is wrong.

    Returns how many rows are recorded now, and what is wrong by row.
    """
    wrong: dict[str, list[str]] = {}
    stored: list[Outcome] = []
    with transaction.atomic():
        for number, facts in rows:
            try:
                stored.append(_store(user, facts, None))
            except BadField as error:
                wrong[f"row {number}"] = [error.message]
        if wrong:
            transaction.set_rollback(True)
            return 0, wrong
        label_photos(patients={outcome.patient_id for outcome in stored})
        disclose(outcomes=stored, user=user)
    return len(stored), {}


def _store(user: User, facts: OutcomeFacts, corrects: Outcome | None) -> Outcome:
    site = find_site(user=user, name=facts.site)
    patient = Patient.objects.filter(site=site, key=facts.patient).first()
    if patient is None:
        raise BadField("patient", f"There is no patient {facts.patient!r} at {site}.", code="patient_unknown")
    values: dict[str, Any] = {
        "patient": patient,
        "eye": facts.eye,
        "cataract": facts.cataract,
        "operated": facts.operated,
        "seen_on": facts.seen_on,
        "source": facts.source,
        "note": facts.note,
    }
    standing = Outcome.objects.standing()
    of_the_day = standing.filter(patient=patient, eye=facts.eye, seen_on=facts.seen_on).first()
    if of_the_day is not None and all(getattr(of_the_day, name) == value for name, value in values.items()):
        return of_the_day
    old = [each.pk for each in (corrects, of_the_day) if each is not None]
    if standing.filter(pk__in=old).update(superseded_at=timezone.now()) != len(set(old)):
        raise OutcomeChanged
    outcome = Outcome.objects.create(recorded_by=user, supersedes=corrects or of_the_day, **values)
    kept = ("patient_id", "eye", "cataract", "operated", "seen_on", "source", "note", "recorded_by_id", "created_at")
    record(Act.OUTCOME_RECORDED, about=outcome, user=user, columns=kept)
    return outcome


# Blindness ------------------------------------------------------------------------------------------------------------
def disclose(*, outcomes: Iterable[Outcome], user: User) -> None:
    """Record that `user` knows these outcomes, and is therefore never a blind reader of a photo of these eyes."""
    eyes = {(outcome.patient_id, outcome.eye) for outcome in outcomes}
    predictions = Prediction.objects.filter(image__patient__in={patient for patient, _ in eyes})
    known = [each for each in predictions.select_related("image") if (each.image.patient_id, each.image.eye) in eyes]
    record_shown(predictions=known, user=user)
