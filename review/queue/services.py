"""Every write of the review: claim, answer blind, keep or change, undo, adjudicate.

The server decides what a reader sees: the AI's answer leaves only after a blind answer is stored. Whoever comes too
late gets a `machine.Conflict` whose text is for that person; nothing is overwritten.
"""

from django.contrib.auth.models import User
from django.db.models import QuerySet

from predictions.answering.models import Prediction
from review.cases.models import ReviewCase
from review.queue import policy


def request_review(*, prediction: Prediction) -> ReviewCase:
    """Send a prediction to people by hand. Its existing case is returned unchanged."""
    case = policy.new_case(prediction, reasons=["requested"])
    case.review_propensity = 1.0
    ReviewCase.objects.bulk_create([case], ignore_conflicts=True)
    return ReviewCase.objects.get(prediction=prediction)


def assign_cases(*, cases: QuerySet[ReviewCase], reader: User | None) -> int:
    """Let one person read these open cases next, or anybody again (None); returns how many were assigned.

    Left as they are: cases that this person has read, or whose AI answer this person knows.
    """
    found = cases.filter(status__in=ReviewCase.OPEN, kind=ReviewCase.Kind.CASE)
    if reader is not None:
        found = found.filter(pk__in=policy.readable(reader).values("pk"))
    return found.update(assigned_to=reader)


def set_priority(*, cases: QuerySet[ReviewCase], priority: int) -> int:
    """Move open cases forward or back in the queue: 1 is the most urgent, 99 the least; returns how many."""
    if not 1 <= priority <= 99:
        raise ValueError("A priority is a number from 1 (most urgent) to 99.")
    return cases.filter(status__in=ReviewCase.OPEN, kind=ReviewCase.Kind.CASE).update(priority=priority)
