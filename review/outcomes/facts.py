"""What is stated about one outcome, and the dates that are accepted."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.core.exceptions import ValidationError
from django.utils import timezone

from review.outcomes.models import Outcome

NOTE_LENGTH = 500


@dataclass(frozen=True)
class OutcomeFacts:
    """patient: a pseudonym. eye: "OD" or "OS". site: its name; empty: the sender's own. seen_on: day of the finding."""

    patient: str
    eye: str
    cataract: bool
    seen_on: date
    site: str = ""
    operated: bool = False
    source: str = Outcome.Source.EXAMINATION
    note: str = ""


def check_seen_on(value: date) -> None:
    """Raise ValidationError for a day before 1990 or in the future (of any time zone)."""
    if value.year < 1990 or value > timezone.localdate() + timedelta(days=1):
        raise ValidationError("The day must be between 1990 and today.")
