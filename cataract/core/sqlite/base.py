"""Django's SQLite, in which the threads of a process write in the order in which they asked.

SQLite has one writer at a time. Whoever finds it busy sleeps and tries again, so a thread that comes later often goes
first, and with many threads a few wait for seconds. Here a thread first waits for its turn among those of its process;
only other processes are left to SQLite's own waiting. Readers wait for nobody.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from cataract.core.locks import FairLock

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
_writers = FairLock()
os.register_at_fork(after_in_child=_writers.reset)  # the threads that held it or waited are not in the child


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that takes its turn before each transaction, and before each single statement that writes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._has_turn = False
        self.execute_wrappers.append(_write_in_turn)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn for one statement, or within a transaction that has it already."""
        if self._has_turn:
            yield
            return
        self._take_turn()
        try:
            yield
        finally:
            self._end_turn()

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs know none of these four
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        if not _writers.acquire(timeout=self.settings_dict["OPTIONS"].get("timeout", 5.0)):
            raise OperationalError("database is locked")  # SQLite's own words: the answer is 503
        self._has_turn = True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _writers.release()


def _write_in_turn(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if not sql.startswith(_WRITES):
        return execute(sql, params, many, context)
    with context["connection"].turn():
        return execute(sql, params, many, context)
