"""Retract the labels of a reader: they stop training, and their photos are read again."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import DomainError
from predictions.answering import final_results
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.retraction.models import Retraction


class NothingToRetract(DomainError):
    code, status = "nothing_to_retract", 409

    def __init__(self) -> None:
        super().__init__("This reader has no standing reading: there is nothing to retract.")


def retract_reader(*, reader: User, reason: str, user: User) -> Retraction:
    """Retract every standing reading of `reader` and every label that rests on one, and reopen those cases.

    Readings of other readers stay, except adjudications that decided between a retracted reading and another. Senders
    are told that their photo is read again. Hidden checks stay: they measure the reader. Raises NothingToRetract.
    """
    with transaction.atomic():
        own = Reading.objects.standing().filter(reader=reader, case__kind=ReviewCase.Kind.CASE)
        cases = list(ReviewCase.objects.filter(readings__in=own).distinct().order_by("pk"))
        if not cases:
            raise NothingToRetract
        retraction = Retraction.objects.create(reader=reader, reason=reason, by=user)
        for case in cases:
            _retract_case(case, reader, retraction)
        record(Act.LABELS_RETRACTED, about=retraction, user=user, columns=("reader_id", "reason", "by_id", "at"))
    return retraction


def _retract_case(case: ReviewCase, reader: User, retraction: Retraction) -> None:
    ReviewCase.objects.filter(pk=case.pk).update(shuffle=case.shuffle)  # locks the row: no reading comes in between
    case.refresh_from_db()
    standing = Reading.objects.standing().filter(case=case)
    gone = list(standing.filter(reader=reader))
    if any(reading.role in (Reading.Role.FIRST, Reading.Role.SECOND) for reading in gone):
        gone += standing.filter(role=Reading.Role.ADJUDICATOR).exclude(reader=reader)
    labels = Label.objects.standing().filter(readings__in=gone).distinct()
    retraction.readings.add(*gone)
    retraction.labels.add(*labels)
    now = timezone.now()
    Label.objects.filter(pk__in=list(labels.values_list("pk", flat=True))).update(superseded_at=now)
    standing.filter(pk__in=[reading.pk for reading in gone]).update(retracted_at=now)
    if case.status == ReviewCase.Status.WITHDRAWN or case.image.status == EyeImage.Status.PURGED:
        return
    if all(reading.role == Reading.Role.EXTRA for reading in gone):
        return
    _reopen(case, standing)
    final_results.take_back(image=case.image)


def _reopen(case: ReviewCase, standing: QuerySet[Reading]) -> None:
    """Move the case to the reading that is due now. A second reading without a first one becomes the first."""
    if not standing.filter(role=Reading.Role.FIRST).exists():
        standing.filter(role=Reading.Role.SECOND).update(role=Reading.Role.FIRST)
    roles = set(standing.values_list("role", flat=True))
    due = ReviewCase.Status.FIRST
    if Reading.Role.FIRST in roles:
        due = ReviewCase.Status.ADJUDICATION if Reading.Role.SECOND in roles else ReviewCase.Status.SECOND
    free = {"claimed_by": None, "lease_until": None, "assigned_to": None, "resolved_at": None}
    row = ReviewCase.objects.filter(pk=case.pk)
    if case.status == due:
        row.update(**free)
    else:
        row.move(due, **free)
