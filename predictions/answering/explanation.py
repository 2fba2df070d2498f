"""More about one prediction: where the model looked, and the same result as FHIR."""

import cv2

from cataract.core.errors import DomainError
from cataract.ml.cascade.explain import heatmap, overlay
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.answering.models import Prediction
from predictions.photos import intake, storage
from predictions.releases import serving

_SIDE = 2048  # pixels of the long side that the model looks at


class NoExplanation(DomainError):
    code = "no_explanation"
    status = 409


def _heat_png(prediction: Prediction) -> bytes:
    if prediction.release is None or prediction.route in ("", "gate"):
        raise NoExplanation("No model has judged this photo, so that there is nothing to explain.")
    try:
        cascade = serving.load(prediction.release)
        shown = intake.derivative(storage.read(prediction.image.stored_name), max_side=_SIDE)
    except (ReleaseCorrupt, OSError):
        raise NoExplanation("The release or the photo behind this answer is no longer readable.") from None
    pixels = decode(shown)  # a JPEG that a decoder process of ours made
    drawn = overlay(pixels, heatmap(cascade, pixels))
    done, data = cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    if not done:
        raise NoExplanation("The picture could not be drawn.")
    return bytes(data.tobytes())
