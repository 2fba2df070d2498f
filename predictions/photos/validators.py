"""Validators of the facts stated about a photo."""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone

PATIENT_KEY = RegexValidator(
    r"\A\w[\w.:/+-]{0,63}\Z", "Use a pseudonym: letters, digits and . : / + - without spaces, never a name."
)
LABEL_LENGTH = 64
_CLOCK_ERROR = timedelta(minutes=5)  # by which a camera may be ahead of this machine


def check_captured_at(value: datetime) -> None:
    """Raise ValidationError for a time before 1990 or in the future."""
    if value.year < 1990 or value > timezone.now() + _CLOCK_ERROR:
        raise ValidationError("The date of the photo must be between 1990 and now.")


def patient_key(text: str) -> str:
    """The text, where it may be a patient's pseudonym. Raises ValidationError."""
    PATIENT_KEY(text)
    return text


_EYES = {"od": "OD", "r": "OD", "right": "OD", "os": "OS", "l": "OS", "left": "OS"}


def eye_named(text: str) -> str:
    """OD or OS, from OD, OS, R, L, right or left in any case. Raises ValidationError."""
    if text.lower() not in _EYES:
        raise ValidationError(f"{text!r} is neither OD nor OS.")
    return _EYES[text.lower()]
