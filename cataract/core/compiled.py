"""Queries whose SQL is built once: for one that reads a row or two, Django builds the SQL longer than it runs.

A compiled query is an ordinary queryset with a `Parameter` where each call has a value of its own.
"""

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Expression, Field, QuerySet
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row")


class Parameter(Expression):
    """A value that each call of a compiled query gives by this name. `None` equals nothing, as in SQL."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, Any]:
        return "%s", [self]


class Compiled(Generic[Row]):
    """The rows of a queryset, built at the first call in a process; every call sends its SQL with other values."""

    def __init__(self, build: Callable[[], QuerySet[Any, Row]]) -> None:
        self._build = build
        self._built: dict[str, tuple[QuerySet[Any, Row], SQLCompiler, str, tuple[Any, ...]]] = {}

    def rows(self, **values: Any) -> list[Row]:
        """What the query finds with these values, one for each `Parameter` by its name."""
        if connection.vendor not in self._built:
            queryset = self._build()
            compiler = queryset.query.get_compiler(connection=connection)
            self._built[connection.vendor] = (queryset, compiler, *compiler.as_sql())
        queryset, compiler, sql, params = self._built[connection.vendor]
        return list(_with_sql(queryset, compiler, sql, tuple(_value_of(param, values) for param in params)))


def _value_of(param: Any, values: dict[str, Any]) -> Any:
    if not isinstance(param, Parameter):
        return param
    return param.output_field.get_db_prep_value(values[param.name], connection)


def _with_sql(queryset: Any, built: SQLCompiler, sql: str, params: tuple[Any, ...]) -> Any:
    """A copy of `queryset` that sends this over the connection of this thread and reads rows as `built` would."""
    compiler = copy.copy(built)
    compiler.connection = connection
    compiler.as_sql = lambda *_, **__: (sql, params)  # type: ignore[method-assign]
    sent = queryset.all()
    sent.query.get_compiler = lambda *_, **__: compiler
    return sent
