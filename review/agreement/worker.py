"""Compute the figures of the agreement page where there are too many readings for a request."""

from django.utils import timezone

from cataract.core import prepared
from review.agreement import sections


def prepare_figures(days: str) -> None:
    """Prepare the figures of so many last days ("": of all time). Safe to run twice."""
    as_of = timezone.now()
    prepared.store_part(sections.part_name(days), sections.as_html(days), as_of=as_of)
