"""Validators of the facts stated about a photo."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from predictions.photos.facts import is_plausible_capture_time

PATIENT_KEY = RegexValidator(
    r"\A\w[\w.:/+-]{0,63}\Z", "Use a pseudonym: letters, digits and . : / + - without spaces, never a name."
)
LABEL_LENGTH = 64


def check_captured_at(value: datetime) -> None:
    """Raise ValidationError for a time before 1990 or in the future."""
    if not is_plausible_capture_time(value):
        raise ValidationError("The date of the photo must be between 1990 and today.")
