"""Celery finds the tasks of this package here; each room has its own module."""

from cataract.ops.audit import tasks as audit
from cataract.ops.notices import tasks as notices

__all__ = ["audit", "notices"]
