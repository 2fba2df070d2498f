"""Tests that make up a past, or empty the tables between two tests, lift the triggers that keep the record."""

import contextlib
from collections.abc import Iterable, Iterator

from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """No trigger stands in the way; afterwards all do again."""
    with _lifted_on_postgresql() if connection.vendor == "postgresql" else _lifted_on_sqlite():
        yield


@contextlib.contextmanager
def _lifted_on_postgresql() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # for superusers: triggers do not fire
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET session_replication_role")


@contextlib.contextmanager
def _lifted_on_sqlite() -> Iterator[None]:
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
    flush = BaseDatabaseOperations.execute_sql_flush

    def flush_all(self: BaseDatabaseOperations, sql_list: Iterable[str]) -> None:
        with lifted():
            flush(self, sql_list)

    BaseDatabaseOperations.execute_sql_flush = flush_all  # type: ignore[method-assign]
