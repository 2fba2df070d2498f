"""What a photo says of its eye, and which findings come first."""

from datetime import datetime
from enum import StrEnum

from cataract.ml.labels import Decision
from predictions.answering.answers import Answer
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage


class Finding(StrEnum):
    """What the counting result of an eye says, worst first."""

    CATARACT = "cataract"
    OTHER = "other"
    UNGRADABLE = "ungradable"
    WAITING = "waiting"
    NORMAL = "normal"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Finding).index(self)

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Finding.CATARACT: "Cataract",
    Finding.OTHER: "Other pathology",
    Finding.UNGRADABLE: "Cannot judge",
    Finding.WAITING: "Waiting",
    Finding.NORMAL: "No sign of cataract",
}
_OF_ANSWER: dict[str, Finding] = {
    Answer.CATARACT: Finding.CATARACT,
    Answer.OTHER: Finding.OTHER,
    Answer.UNGRADABLE: Finding.UNGRADABLE,
    Answer.NOT_AN_EYE: Finding.UNGRADABLE,
    Answer.NORMAL: Finding.NORMAL,
}


def finding_of(prediction: Prediction) -> Finding:
    """By the final result; without one it waits, except that "cannot judge" calls for a retake at once."""
    result = prediction.final_result
    if result is not None:
        return _OF_ANSWER[result.answer]
    return Finding.UNGRADABLE if prediction.decision == Decision.UNGRADABLE else Finding.WAITING


def shows_an_eye(prediction: Prediction) -> bool:
    """Whether no clinician has said that the photo shows something else: only then may its eye be hard to judge."""
    result = prediction.final_result
    return result is None or result.answer != Answer.NOT_AN_EYE


def taken_at(image: EyeImage) -> datetime:
    """When the photo was taken; where nobody knows, when it arrived."""
    return image.captured_at or image.created_at
