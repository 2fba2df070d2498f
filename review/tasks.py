"""Celery finds this app's tasks here; each room has its own module."""

from review.acceptance import tasks as acceptance
from review.agreement import tasks as agreement
from review.feedback import tasks as feedback
from review.lookback import tasks as lookback
from review.outcomes import tasks as outcomes
from review.queue import tasks as queue

__all__ = ["acceptance", "agreement", "feedback", "lookback", "outcomes", "queue"]
