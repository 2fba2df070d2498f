"""Which photos a later outcome speaks about: those of the same eye, taken at most OUTCOME_WINDOW_DAYS before it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from cataract.ml.labels import NORMAL
from predictions.answering.models import FinalResult, Prediction, PredictionQuerySet
from predictions.photos.models import EyeImage
from review.outcomes.models import Outcome, OutcomeQuerySet


def taken_on(image: EyeImage) -> date:
    """The day on which a photo was taken; the day on which it came in, where nothing says more."""
    return timezone.localdate(image.captured_at or image.created_at)


def with_photos(outcomes: OutcomeQuerySet) -> Iterator[tuple[EyeImage, Outcome]]:
    """Each photo that one of these outcomes speaks about, with the first that stands after it."""
    window = timedelta(days=settings.OUTCOME_WINDOW_DAYS)
    of_eye: dict[tuple[UUID, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes.standing().order_by("seen_on"):
        of_eye[outcome.patient_id, outcome.eye].append(outcome)
    patients = {patient for patient, _ in of_eye}
    for image in EyeImage.objects.in_use().filter(patient__in=patients, eye__in=EyeImage.Eye.known()).iterator():
        day = taken_on(image)
        assert image.patient_id is not None
        later = (each for each in of_eye.get((image.patient_id, image.eye), ()) if day <= each.seen_on <= day + window)
        first = next(later, None)
        if first is not None:
            yield image, first


def cleared_wrongly(predictions: PredictionQuerySet) -> list[tuple[Prediction, Outcome]]:
    """Those of these predictions whose sender was told "no cataract" in an eye with a cataract, the newest first."""
    found = {image.pk: outcome for image, outcome in with_photos(Outcome.objects.all()) if outcome.cataract}
    cleared = predictions.filter(
        image__in=found,
        final_results__superseded_at__isnull=True,
        final_results__status__in=FinalResult.TOLD,
        final_results__answer=NORMAL,
    )
    return [(prediction, found[prediction.image_id]) for prediction in cleared.order_by("-created_at", "pk")]
