"""Review cases as the queue opens them."""

from typing import Any

from django.utils import timezone

from predictions.answering.models import Prediction
from predictions.releases.models import Release
from predictions.sites.models import Site
from review.cases.models import ReviewCase
from review.queue import opening
from tests.factories import EyeImageFactory, LabelFactory, PredictionFactory


def make_case(decision: str = "cataract", **values: Any) -> ReviewCase:
    """The case that the review policy opens for a new prediction with these values."""
    prediction = PredictionFactory.create(decision=decision, **values)
    opening.open_cases()
    return ReviewCase.objects.get(prediction=prediction)


def read(
    site: Site,
    decision: str,
    truth: str,
    n: int = 1,
    *,
    reasons: tuple[str, ...] = ("not_accepted",),
    propensity: float = 1.0,
    provenance: str = "blind",
    **image: Any,
) -> list[Prediction]:
    """Photos of the champion that people have read: each of another patient."""
    champion = Release.objects.champions().get()
    made = [
        PredictionFactory.create(
            image=EyeImageFactory.create(site=site, **image),
            release=champion,
            decision=decision,
            needs_review=bool(reasons),
            reasons=list(reasons),
            review_propensity=propensity,
        )
        for _ in range(n)
    ]
    opening.open_cases()
    cases = ReviewCase.objects.filter(prediction__in=made)
    cases.update(status="resolved", resolved_at=timezone.now())
    for case in cases:
        LabelFactory.create(image=case.image, case=case, answer=truth, provenance=provenance, may_train=False)
    return made
