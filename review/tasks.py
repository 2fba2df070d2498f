"""Celery finds this app's tasks here; each room has its own module."""

from review.queue import tasks as queue

__all__ = ["queue"]
