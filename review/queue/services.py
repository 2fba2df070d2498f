"""Writes to the queue: request or repeat a reading, assign cases, set priorities."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.ml.labels import Reason
from predictions.answering import services as answering_services
from predictions.answering.models import Prediction
from review.cases.models import ReviewCase
from review.labels.models import Label
from review.queue import policy
from review.queue.opening import new_case


def request_review(*, prediction: Prediction) -> ReviewCase:
    """Open a case for this prediction on request. An existing case is returned unchanged."""
    case = new_case(prediction, reasons=[Reason.REQUESTED])
    case.review_propensity = 1.0
    ReviewCase.objects.bulk_create([case], ignore_conflicts=True)
    return ReviewCase.objects.get(prediction=prediction)


def recheck_labels(*, labels: Iterable[Label]) -> int:
    """Open a case for the photo of each standing label in doubt, unless one is open; returns how many.

    The photo gets a new prediction and is read blind: readers do not learn that its label is in doubt. The new label
    replaces the old one unless the old one's provenance is stronger (`review.labels.services.RANK`).
    """
    opened = 0
    for label in labels:
        is_open = ReviewCase.objects.filter(
            image=label.image_id, kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN
        ).exists()
        if is_open or label.superseded_at is not None:
            continue
        with transaction.atomic():
            prediction = answering_services.predict_again(image=label.image)
            new_case(prediction, reasons=[Reason.SUSPECTED_LABEL]).save(force_insert=True)
        opened += 1
    return opened


def look_back_at(*, predictions: Iterable[Prediction]) -> tuple[dict[UUID, ReviewCase], int]:
    """Open a case for the photo of each of these predictions, unless one is open: a look-back at what was decided.

    Returns the open case of each photo, and how many were opened. Where readers have decided before, the photo gets a
    new prediction. Readers do not learn why they read it; its chance of being chosen counts as 1, and it enters no
    estimate of the performance in service.
    """
    by_image = {prediction.image_id: prediction for prediction in predictions}
    kept = ReviewCase.objects.filter(image__in=by_image, kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN)
    cases = {case.image_id: case for case in kept}
    has_case = set(
        ReviewCase.objects.filter(prediction__in=[each.pk for each in by_image.values()]).values_list(
            "image", flat=True
        )
    )
    opened = 0
    for image, prediction in by_image.items():
        if image in cases:
            continue
        with transaction.atomic():
            again = answering_services.predict_again(image=prediction.image) if image in has_case else prediction
            case = new_case(again, reasons=[Reason.LOOK_BACK])
            case.review_propensity = 1.0
            case.save(force_insert=True)
        cases[image] = case
        opened += 1
    return cases, opened


def assign_cases(*, cases: QuerySet[ReviewCase], reader: User | None) -> int:
    """Reserve these open cases for one reader, or for all readers again (None); returns how many were assigned.

    Leaves out cases this reader has read or whose AI answer this reader knows.
    """
    assignable = cases.filter(status__in=ReviewCase.OPEN, kind=ReviewCase.Kind.CASE)
    if reader is not None:
        assignable = assignable.filter(pk__in=policy.readable(reader).values("pk"))
    return assignable.update(assigned_to=reader)


def end_leases(*, cases: QuerySet[ReviewCase], by: User) -> int:
    """Take these open cases back from the readers who hold them, so that others can read; returns how many.

    A reader who answers later is told that the lease has ended, and the answer does not count.
    """
    held = cases.filter(status__in=ReviewCase.OPEN, kind=ReviewCase.Kind.CASE, lease_until__gt=timezone.now())
    ended = 0
    for case in held.select_related("claimed_by"):
        if ReviewCase.objects.filter(pk=case.pk, claimed_by=case.claimed_by, lease_until=case.lease_until).update(
            claimed_by=None, lease_until=None
        ):
            record(Act.ADMIN_CHANGED, about=case, user=by, what="lease ended", reader=case.claimed_by_id)
            ended += 1
    return ended


def set_priority(*, cases: QuerySet[ReviewCase], priority: int) -> int:
    """Set the priority of these open cases, 1 (most urgent) to 99; returns how many were changed.

    Raises ValueError for any other priority.
    """
    if not 1 <= priority <= 99:
        raise ValueError("A priority is a number from 1 (most urgent) to 99.")
    return cases.filter(status__in=ReviewCase.OPEN, kind=ReviewCase.Kind.CASE).update(priority=priority)
