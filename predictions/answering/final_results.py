"""Give predictions their final results: by the AI alone, by people, amended, or taken back while people read again."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from cataract.ml.labels import CLASSES, RANDOM_CHECKS, Decision
from predictions.answering.answers import Answer, contradicts
from predictions.answering.models import FinalResult, FinalResultQuerySet, Prediction
from predictions.news import services as news
from predictions.photos.models import EyeImage
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint


def settle_by_ai(prediction: Prediction, *, is_new: bool = False) -> FinalResult | None:
    """The final result of a prediction that was answered just now; None when it waits for people.

    A sure answer is final, and provisional where the random check will read the photo. Where people have answered
    for this photo before, their answer stands for the new prediction too; nobody has where the photo `is_new`, stored
    for this prediction. Call it in the transaction of the answer.
    """
    earlier = None if is_new else _told_by_people(prediction.image).first()
    if earlier is not None:
        return _write(
            prediction, answer=earlier.answer, detail=earlier.detail, basis=earlier.basis, status=earlier.status
        )
    if not prediction.decision or (prediction.needs_review and not is_random_check(prediction)):
        return None
    status = FinalResult.Status.PROVISIONAL if prediction.needs_review else FinalResult.Status.FINAL
    return _write(prediction, answer=prediction.decision, detail="", basis=FinalResult.Basis.AI, status=status)


def settle_by_people(
    *, image: EyeImage, answer: str, basis: str, is_final: bool, detail: str = "", reason: str = ""
) -> None:
    """Give every answered prediction of a photo the result that people agreed on.

    It is AMENDED, for this `reason`, where another answer was told as final before. The same result twice is stored
    once. Call it in the transaction of the reading.
    """
    answered = image.predictions.exclude(status=Prediction.Status.QUEUED)
    for prediction in answered.select_related("image").prefetch_related("final_results"):
        earlier = list(prediction.final_results.all())  # newest first
        standing = _standing(earlier)
        is_told_by_people = standing is not None and standing.is_by_people and standing.status in FinalResult.TOLD
        if is_told_by_people and not is_final:
            continue  # a photo that is read again keeps its result until the readers agree
        status = _status(earlier, answer) if is_final else FinalResult.Status.PROVISIONAL
        why = reason if status == FinalResult.Status.AMENDED else ""
        _replace(prediction, earlier, answer=answer, detail=detail, basis=basis, status=status, reason=why)


def take_back(*, image: EyeImage) -> None:
    """Take back what people told the senders of this photo: they read it again. An answer of the AI alone stays."""
    _supersede(_told_by_people(image))


def take_back_provisional(*, image: EyeImage) -> None:
    """Take back what people told the senders of this photo so far, unless it was final."""
    _supersede(_told_by_people(image).filter(status=FinalResult.Status.PROVISIONAL))


def replace_ungradable(prediction: Prediction) -> int:
    """Mark the answers of the photos that this one was retaken for, if it can be judged; return how many.

    Only an AI's "cannot judge" is replaced, also along a chain of retakes. What people have told the sender stays
    (`Prediction.state`). Call it in the transaction of the answer.
    """
    if prediction.decision not in CLASSES:
        return 0
    replaced = 0
    photo, seen = prediction.image, {prediction.image_id}
    while photo.retake_of is not None and photo.retake_of_id not in seen:
        photo = photo.retake_of
        seen.add(photo.pk)
        ungradable = photo.predictions.filter(decision=Decision.UNGRADABLE, replaced_by__isnull=True)
        replaced += ungradable.update(replaced_by=prediction, replaced_at=timezone.now())
    return replaced


def is_random_check(prediction: Prediction) -> bool:
    """Whether people read this sure answer only because a random draw chose the photo."""
    return prediction.reasons in RANDOM_CHECKS


def _supersede(results: FinalResultQuerySet) -> None:
    """Take these results back, and the news of them that nobody has seen."""
    news.withdraw_news(prediction_ids=list(results.values_list("prediction_id", flat=True)))
    results.update(superseded_at=timezone.now())


def _told_by_people(image: EyeImage) -> FinalResultQuerySet:
    return FinalResult.objects.standing().by_people().filter(prediction__image=image)


def _status(earlier: Sequence[FinalResult], answer: str) -> FinalResult.Status:
    """FINAL, or AMENDED where another answer was told before, or this one was an amendment already."""
    told = next((result for result in earlier if result.status in FinalResult.TOLD), None)
    is_same = told is None or (told.answer == answer and told.status == FinalResult.Status.FINAL)
    return FinalResult.Status.FINAL if is_same else FinalResult.Status.AMENDED


def _replace(prediction: Prediction, earlier: Sequence[FinalResult], **values: Any) -> None:
    standing = _standing(earlier)
    if standing is not None:
        if all(getattr(standing, name) == value for name, value in values.items()):
            return
        FinalResult.objects.filter(pk=standing.pk).update(superseded_at=timezone.now())
    result = _write(prediction, **values)
    news.record_news(
        user_id=prediction.image.uploaded_by_id,
        prediction_id=prediction.pk,
        is_urgent=_takes_back_a_normal(result, earlier),
    )
    if result.status in FinalResult.TOLD:
        _announce(result)


def _takes_back_a_normal(result: FinalResult, earlier: Sequence[FinalResult]) -> bool:
    """Whether a "normal" that was told before, by the AI or finally by people, is another answer now."""
    if result.status not in FinalResult.TOLD or result.answer == Answer.NORMAL:
        return False
    told = [each for each in earlier if not each.is_by_people or each.status in FinalResult.TOLD]
    return any(each.answer == Answer.NORMAL for each in told)


def _standing(results: Sequence[FinalResult]) -> FinalResult | None:
    return next((result for result in results if result.superseded_at is None), None)


def _write(prediction: Prediction, *, answer: str, basis: str, **values: Any) -> FinalResult:
    is_by_people = basis != FinalResult.Basis.AI
    is_contradiction = is_by_people and contradicts(answer, prediction.decision, prediction.reasons)
    return FinalResult.objects.create(
        prediction=prediction, answer=answer, basis=basis, contradicts_ai=is_contradiction, **values
    )


def _announce(result: FinalResult) -> None:
    """Record the webhook event that people have given or amended a final result, with the result inside."""
    is_amended = result.status == FinalResult.Status.AMENDED
    event = WebhookEndpoint.Event.RESULT_AMENDED if is_amended else WebhookEndpoint.Event.CASE_RESOLVED
    prediction = result.prediction
    data = {
        "prediction": str(prediction.pk),
        "address": prediction.api_url,
        "final_result": facts_of(result),
    }
    webhooks.record(event, data, owner_id=prediction.image.uploaded_by_id, is_private=True)


def facts_of(result: FinalResult) -> dict[str, Any]:
    """A final result as the API and the webhooks give it."""
    return {
        "answer": result.answer,
        "detail": result.detail,
        "basis": result.basis,
        "status": result.status,
        "contradicts_ai": result.contradicts_ai,
        "reason": result.reason,
        "at": result.at.isoformat(),
    }
