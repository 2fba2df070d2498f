"""Tests that make up a past, or empty the tables between two tests, lift the triggers that keep the record."""

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.backends.sqlite3.operations import DatabaseOperations as Sqlite


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """No trigger of SQLite stands in the way; afterwards all do again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for _, sql in triggers:
                cursor.execute(sql)


def let_tests_empty_the_tables() -> None:
    """A test that commits empties every table at its end, those of the record too."""
    flush = Sqlite.execute_sql_flush

    def flush_all(self: Any, statements: Any) -> None:
        with lifted():
            flush(self, statements)

    Sqlite.execute_sql_flush = flush_all  # type: ignore[method-assign]
