"""Move an installation from SQLite to an empty PostgreSQL database: every row, in one transaction, compared afterwards.

The migrations make the tables, triggers and functions; only rows are copied. The SQLite file is read and never changed.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import environ
from django.apps import apps
from django.conf import settings
from django.core.management.color import no_style
from django.db import DatabaseError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from cataract.core.errors import DomainError
from cataract.core.record import unprotected

_SOURCE, _TARGET = "default", "postgresql"
_OF_THE_DATABASE = {"django_migrations", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"}
_CHUNK = 2000
Say = Callable[[str], Any]


class NotMoved(DomainError):
    """The installation stays where it is; the text says why and what to do."""

    code, status = "not_moved", 409


def move_to_postgresql(url: str, *, say: Say = print) -> int:
    """Copy every row to the empty database of `url`, compare each, and return how many there are. Raises NotMoved.

    The system must be stopped. When anything fails the target holds tables and no row, and the move can be repeated
    after `dropdb` and `createdb`.
    """
    source, target = connections[_SOURCE], _open(url)
    try:
        if source.vendor != "sqlite":
            raise NotMoved("This installation is on PostgreSQL already: nothing to move.")
        if target.introspection.table_names():
            raise NotMoved("That database holds tables. Give an empty one: `createdb cataract`.")
        _require_known_tables(source)
        say("Making the tables ...")
        _migrate(url)
        with transaction.atomic(_SOURCE), transaction.atomic(_TARGET):
            rows = _copy(target, say)
            _compare(say)
            bare = unprotected(target)
            if bare:
                raise NotMoved(f"The triggers of {', '.join(bare)} are missing in PostgreSQL.")
        return rows
    except DatabaseError as error:
        raise NotMoved(f"PostgreSQL refused: {str(error).strip().splitlines()[0]}. No row was moved.") from error
    finally:
        target.close()


def _open(url: str) -> BaseDatabaseWrapper:
    """A connection to the target, for this process only. Raises NotMoved."""
    config = environ.Env.db_url_config(url)
    if not str(config.get("ENGINE", "")).endswith("postgresql"):
        raise NotMoved("Give the address of a PostgreSQL database: postgres://user:password@host:5432/name")
    known = {alias: connections.settings[alias] for alias in connections.settings}
    connections.settings = connections.configure_settings({**known, _TARGET: config})
    return connections[_TARGET]


def _migrate(url: str) -> None:
    """In a process of its own, in which it is the only database: migrations write rows, too."""
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(settings.DATA_DIR)}
    command = [sys.executable, "-m", "cataract", "migrate", "--verbosity=0"]
    done = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMoved(f"The tables could not be made: {done.stderr.strip()[-500:]}")


def _tables() -> list[type[models.Model]]:
    """Every table of Django's models, those that join others included."""
    own = (model for model in apps.get_models(include_auto_created=True) if model._meta.managed)
    return [model for model in own if not model._meta.proxy]


def _require_known_tables(source: BaseDatabaseWrapper) -> None:
    """A table that no model describes would be left behind."""
    known = {model._meta.db_table for model in _tables()} | _OF_THE_DATABASE
    unknown = sorted(set(source.introspection.table_names()) - known)
    if unknown:
        raise NotMoved(f"No model describes the tables {', '.join(unknown)}: they would be left behind.")


def _fields(model: type[models.Model]) -> "list[models.Field[Any, Any]]":
    """The columns that are written: the database computes the others."""
    return [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]


def _copy(target: BaseDatabaseWrapper, say: Say) -> int:
    """Copy all rows. Triggers rest meanwhile: they keep rows from change, and here whole tables begin."""
    names = [target.ops.quote_name(model._meta.db_table) for model in _tables()]
    total = 0
    with target.cursor() as cursor:
        for name in names:
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        cursor.execute(f"TRUNCATE {', '.join(names)}")  # what migrations wrote is among the rows that come
        for name, model in zip(names, _tables(), strict=True):
            fields = _fields(model)
            columns = ", ".join(target.ops.quote_name(str(field.column)) for field in fields)
            copied = 0
            with cursor.cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
                for row in _rows(model, _SOURCE):
                    copy.write_row(
                        [f.get_db_prep_save(value, connection=target) for f, value in zip(fields, row, strict=True)]
                    )
                    copied += 1
            if copied:
                say(f"{model._meta.db_table}: {copied} rows")
            total += copied
        for statement in target.ops.sequence_reset_sql(no_style(), _tables()):
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # every row that another names is there, or nothing is stored
        for name in names:
            cursor.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
    return total


def _rows(model: type[models.Model], database: str, **only: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, as Python sees them."""
    rows = model._base_manager.using(database).filter(**only).order_by("pk")
    return rows.values_list(*(field.attname for field in _fields(model))).iterator(chunk_size=_CHUNK)


def _compare(say: Say) -> None:
    """Read both databases again and compare every row. Raises NotMoved."""
    for model in _tables():
        key = [field.attname for field in _fields(model)].index(model._meta.pk.attname)
        here = _rows(model, _SOURCE)
        total = 0
        while chunk := list(islice(here, _CHUNK)):
            total += len(chunk)
            there = {row[key]: _plain(row) for row in _rows(model, _TARGET, pk__in=[row[key] for row in chunk])}
            for row in chunk:
                if there.get(row[key]) != _plain(row):
                    raise NotMoved(f"A row of {model._meta.db_table} differs in PostgreSQL: {row[key]}.")
        if model._base_manager.using(_TARGET).count() != total:
            raise NotMoved(f"{model._meta.db_table} has more rows in PostgreSQL.")
    say("Every row was compared.")


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """PostgreSQL gives bytes as a memoryview."""
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
