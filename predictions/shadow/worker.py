"""Score photos that the champion has answered with the shadow challenger, in separate rows."""

import logging
import time
from typing import Any

from django.db.models import QuerySet

from cataract.ml.arrays import finite_or_none
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.answering import inference
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving
from predictions.releases.models import LiveTest
from predictions.shadow.models import ShadowAnswer

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 8.0  # shorter than the pause between two sweeps
_LIVE = (EyeImage.Source.UPLOAD, EyeImage.Source.API)


def sweep() -> int:
    """Let the challenger score the photos that it has not scored yet; return how many. Safe to run twice, at any time.

    Ends the test when it has enough photos, or when the challenger's files are damaged.
    """
    test = LiveTest.objects.running(LiveTest.Kind.SHADOW).select_related("challenger").first()
    if test is None:
        return 0
    mine = LiveTest.objects.filter(pk=test.pk)
    try:
        cascade = serving.load(test.challenger)
    except ReleaseCorrupt as error:
        log.error("The challenger in shadow cannot be loaded: %s", error)
        mine.end(reason=f"The challenger is damaged: {error}")
        return 0
    deadline, scored = time.monotonic() + _SWEEP_SECONDS, 0
    for prediction in waiting(test)[: max(0, test.photos - test.answers.count())]:
        if time.monotonic() > deadline:
            return scored
        _score(test, cascade, prediction)
        scored += 1
    if test.answers.count() >= test.photos:
        mine.end(reason=f"It has scored its {test.photos} photos.")
    return scored


def waiting(test: LiveTest) -> QuerySet[Prediction]:
    """Live photos that the test's champion has answered since it began and the challenger has not, oldest first."""
    return (
        Prediction.objects.filter(
            status=Prediction.Status.DONE,
            release_id=test.champion_id,
            created_at__gte=test.started_at,
            image__source__in=_LIVE,
            image__status=EyeImage.Status.KEPT,
        )
        .exclude(decision="")
        .exclude(shadow_answers__test=test)
        .select_related("image")
        .order_by("created_at")
    )


def _score(test: LiveTest, cascade: Cascade, prediction: Prediction) -> None:
    try:
        said = _said(cascade, prediction)
    except Exception as error:  # a photo that it cannot score is a result of the test: do not retry it
        log.exception("The challenger in shadow failed on prediction %s", prediction.pk)
        said = {"error": f"{type(error).__name__}: {error}"[:1000]}
    ShadowAnswer.objects.bulk_create([ShadowAnswer(test=test, prediction=prediction, **said)], ignore_conflicts=True)


def _said(cascade: Cascade, prediction: Prediction) -> dict[str, Any]:
    outcome = inference.predict_photo(cascade, prediction, decode(storage.read(prediction.image.stored_name)))
    return {
        "decision": outcome.decision,
        "probability": finite_or_none(outcome.probability),
        "needs_review": outcome.needs_review,
        "reasons": list(outcome.reasons),
        "route": outcome.route,
        "timings": {stage: round(ms, 2) for stage, ms in outcome.timings.items() if stage != "total"},
    }
