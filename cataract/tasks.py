"""Celery finds the tasks of this package here; each room has its own module."""

from cataract.accounts import tasks as accounts
from cataract.ops import statistics
from cataract.ops.backup import tasks as backup
from cataract.ops.notices import tasks as notices

__all__ = ["accounts", "backup", "notices", "statistics"]
