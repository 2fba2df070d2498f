"""Celery finds this app's tasks here; each room has its own module."""

from review.outcomes import tasks as outcomes
from review.queue import tasks as queue

__all__ = ["outcomes", "queue"]
