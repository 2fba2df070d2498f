"""Turn predictions into cases."""

from cataract.ml.labels import Reason
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from review.cases.models import ReviewCase
from review.queue import policy


def open_cases(limit: int = 1000) -> int:
    """Open a case for every prediction that needs review and has none; returns how many. Safe to run twice.

    A withdrawn photo, and one that a retake has replaced meanwhile, needs none.
    """
    Prediction.objects.without_case().filter(review_case__isnull=False).update(has_case=True)
    unopened = Prediction.objects.without_case().filter(
        review_case__isnull=True,
        replaced_by__isnull=True,
        image__withdrawn_at__isnull=True,
        image__status=EyeImage.Status.KEPT,
    )
    found = list(unopened.order_by("created_at")[:limit])
    ReviewCase.objects.bulk_create([new_case(prediction) for prediction in found], ignore_conflicts=True)
    Prediction.objects.filter(pk__in=[prediction.pk for prediction in found]).update(has_case=True)
    return len(found)


def new_case(prediction: Prediction, *, reasons: list[str] | None = None) -> ReviewCase:
    """The unsaved case of one prediction. A FAILED prediction is reviewed with certainty."""
    if reasons is None:
        reasons = list(prediction.reasons) if prediction.status == Prediction.Status.DONE else [Reason.FAILED.value]
    return ReviewCase(
        prediction=prediction,
        image_id=prediction.image_id,
        reasons=reasons,
        review_propensity=prediction.review_propensity or 1.0,
        policy_version=policy.POLICY_VERSION,
        priority=policy.priority_of(reasons),
        shuffle=policy.shuffle_of(prediction.pk),
    )
