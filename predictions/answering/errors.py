"""Errors of this room."""

from typing import ClassVar

from cataract.core.errors import DomainError, RequestRunning
from predictions.answering.models import Prediction


class DuplicatePhoto(DomainError):
    """The same bytes are already stored; `prediction` is the newest of that photo (None when it has none).

    `is_visible`: whether the sender may see it. Only then the error names it (`existing`) and says when it was sent.
    """

    status = 409
    field = "photo"
    _MESSAGES: ClassVar[dict[str, str]] = {
        "duplicate": "This photo was already sent{when}.",
        "same_photo_other_patient": "This photo belongs to another patient. Check the patient key and the photo.",
        "same_photo_both_eyes": "This photo was already sent as the other eye. Check which eye it shows.",
        "photo_withdrawn": "This photo was already sent{when} and has been withdrawn.",
    }
    _HINTS: ClassVar[dict[str, str]] = {
        "same_photo_other_patient": " If the earlier patient key is wrong, correct it there.",
        "same_photo_both_eyes": " If the earlier eye is wrong, correct it there.",
        "photo_withdrawn": " Restore it there if that was a mistake.",
    }

    def __init__(self, code: str, prediction: Prediction | None, when: str, *, is_visible: bool) -> None:
        message = self._MESSAGES[code].format(when=f" on {when}" if is_visible else "")
        super().__init__(message + (self._HINTS.get(code, "") if is_visible else ""))
        self.code = code  # type: ignore[misc]  # one class, four codes
        self.prediction = prediction
        if prediction is not None and is_visible:
            self.existing = str(prediction.pk)


class UploadRunning(RequestRunning):
    """The first upload with this Idempotency-Key is still running; `prediction` is the one that it will answer."""

    def __init__(self, prediction: Prediction) -> None:
        super().__init__()
        self.prediction = prediction
        self.existing = str(prediction.pk)
