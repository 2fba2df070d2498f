"""Celery finds the tasks of this package here; each room has its own module."""

from cataract.accounts import tasks as accounts
from cataract.ops import signs_of_life, statistics
from cataract.ops.audit import tasks as audit
from cataract.ops.backup import tasks as backup
from cataract.ops.notices import tasks as notices
from cataract.ops.overview import tasks as overview
from cataract.status import tasks as status

__all__ = ["accounts", "audit", "backup", "notices", "overview", "signs_of_life", "statistics", "status"]
