"""`{% load times %}`: how long ago something was."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3600, timedelta(days=1)


@register.filter
def ago(at: datetime | None) -> str:
    """ "3 minutes ago" for a time of the last 24 hours; "" for an older one, one to come, or none."""
    if at is None:
        return ""
    past = timezone.now() - at
    if not timedelta(0) <= past < _DAY:
        return ""
    seconds = int(past.total_seconds())
    if seconds < _MINUTE:
        return "just now"
    count, unit = (seconds // _MINUTE, "minute") if seconds < _HOUR else (seconds // _HOUR, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'} ago"
