"""The statistics by which the database chooses how to answer a query.

PostgreSQL renews its own. SQLite never does: without them it reads whole tables where an index would do.
"""

from celery import shared_task
from django.db import connection

_ROWS = 1000  # read of each index at most: milliseconds, however many rows there are


@shared_task  # type: ignore[untyped-decorator]
def refresh_statistics() -> None:
    """Renew SQLite's statistics from a sample of each index; on PostgreSQL nothing is to be done."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit={_ROWS}")
        cursor.execute("ANALYZE")
