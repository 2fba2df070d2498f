"""Review cases as the queue opens them."""

from typing import Any

from review.cases.models import ReviewCase
from review.queue import opening
from tests.factories import PredictionFactory


def make_case(decision: str = "cataract", **values: Any) -> ReviewCase:
    """The case that the review policy opens for a new prediction with these values."""
    prediction = PredictionFactory.create(decision=decision, **values)
    opening.open_cases()
    return ReviewCase.objects.get(prediction=prediction)
