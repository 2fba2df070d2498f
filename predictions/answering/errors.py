"""Errors of this room."""

from typing import ClassVar

from cataract.core.errors import DomainError, RequestRunning
from predictions.answering.models import Prediction


class DuplicatePhoto(DomainError):
    """The same bytes are already stored; `prediction` is the newest of that photo (None when it has none)."""

    status = 409
    field = "photo"
    _MESSAGES: ClassVar[dict[str, str]] = {
        "duplicate": "This photo was already sent on {when}.",
        "same_photo_other_patient": "This photo belongs to another patient. Check the patient key and the photo.",
        "same_photo_both_eyes": "This photo was already sent as the other eye. Check which eye it shows.",
    }

    def __init__(self, code: str, prediction: Prediction | None, when: str) -> None:
        super().__init__(self._MESSAGES[code].format(when=when))
        self.code = code  # type: ignore[misc]  # one class, three codes
        self.prediction = prediction
        if prediction is not None and code == "duplicate":
            self.existing = str(prediction.pk)


class UploadRunning(RequestRunning):
    """The first upload with this Idempotency-Key is still running; `prediction` is the one that it will answer."""

    def __init__(self, prediction: Prediction) -> None:
        super().__init__()
        self.prediction = prediction
        self.existing = str(prediction.pk)
