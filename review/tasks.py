"""Where Celery finds the tasks of this app; each room has its own."""

from review.queue import tasks as queue

__all__ = ["queue"]
