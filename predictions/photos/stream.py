"""The stream: patients drawn by hash before any prediction, whose photos people always read.

Nothing that the AI says has a part in the draw, so what people answer about these photos describes all photos that
come in, without weights.
"""

from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.utils import timezone

from cataract.ml.statistics.draws import fraction, is_in_share
from predictions.photos.models import EyeImage, Split

# The rate aims at this multiple of ALWAYS_READ_WEEKLY: chance and a quieter week may take a third of it.
_MARGIN = 1.5
_WEEK = timedelta(days=7)


def is_drawn(*, patient_key: str, sha256: str, rate: float) -> bool:
    """Whether a photo is in the stream at this rate: by its patient's key, or by its own hash where none is stated.

    The same patient is drawn in every installation; a higher rate adds patients and drops none.
    """
    return is_in_share(f"always-read:{patient_key or sha256}", rate)


def rate_of_week() -> float:
    """The share of patients that is drawn this week. It follows from the last week with photos, so it never changes."""
    if not settings.ALWAYS_READ_WEEKLY:
        return rate_after(0)
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return rate_after(_photos_of_last_week(today - timedelta(days=today.weekday())))


def rate_after(photos: int) -> float:
    """The rate of a week that follows a week with so many photos; 0: an installation's first week.

    ALWAYS_READ_RATE, or more where that rate would make ALWAYS_READ_WEEKLY photos unlikely.
    """
    rate: float = settings.ALWAYS_READ_RATE
    return max(rate, min(1.0, _MARGIN * settings.ALWAYS_READ_WEEKLY / photos)) if photos else rate


def held_out_split(sha256: str) -> str:
    """The split of a new cluster whose first photo, of this hash, is in the stream: test or calibration."""
    test, calibration = (settings.SPLIT_FRACTIONS[split] for split in (Split.TEST, Split.CALIBRATION))
    return str(Split.TEST if fraction(f"held-out:{sha256}") * (test + calibration) < test else Split.CALIBRATION)


@lru_cache(maxsize=2)  # a week that is over does not change
def _photos_of_last_week(monday: datetime) -> int:
    """The number of photos that were sent for an answer in the last week before this Monday that had any."""
    sent = EyeImage.objects.exclude(source=EyeImage.Source.IMPORT).filter(created_at__lt=monday).order_by()
    newest = sent.order_by("-created_at").values_list("created_at", flat=True).first()
    if newest is None:
        return 0
    begin = monday + (newest - monday) // _WEEK * _WEEK
    return sent.filter(created_at__gte=begin, created_at__lt=begin + _WEEK).count()
