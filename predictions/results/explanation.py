"""Heat maps: where the accurate model looked in one photo."""

import cv2

from cataract.ml.cascade.explain import heatmap, overlay
from cataract.ml.labels import Route
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.answering.models import Prediction
from predictions.photos import intake, storage
from predictions.releases import serving
from predictions.results.errors import NoExplanation
from predictions.stops.models import AiStop

_SIDE = 2048  # long side, in pixels, of the photo that the model sees


def heat_map_png(prediction: Prediction) -> bytes:
    """The photo with the heat map over it, as PNG. Raises NoExplanation."""
    if AiStop.objects.at(prediction.image.site_id).exists():
        raise NoExplanation("People only: the AI is switched off, and explains nothing.")
    if prediction.release is None or prediction.route in ("", Route.GATE):
        raise NoExplanation("No model has judged this photo: there is nothing to explain.")
    try:
        cascade = serving.load(prediction.release)
        shown = intake.derivative(storage.read(prediction.image.stored_name), max_side=_SIDE)
    except (ReleaseCorrupt, OSError):
        raise NoExplanation("The release or the photo behind this answer is no longer readable.") from None
    pixels = decode(shown)  # safe in this process: a decoder process made this JPEG
    drawn = overlay(pixels, heatmap(cascade, pixels))
    done, data = cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    if not done:
        raise NoExplanation("The picture could not be drawn.")
    return bytes(data.tobytes())
