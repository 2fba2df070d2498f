"""The record: rows that no code can change or delete, because triggers of the database refuse it.

Migrations call `keep` for a table. What may still change is stated there, column by column; every other statement
fails with an IntegrityError, whoever sends it. A migration that makes SQLite build a table anew loses its triggers, and
one that adds a column does not protect it: both must call `keep` again, which replaces the triggers.
tests/meta/test_record.py and `manage.py doctor` notice when that was forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper

# The tables of the record, for the check of an installation: each has triggers named after it.
TABLES = (
    "cataract_auditentry", "cataract_auditseal",
    "predictions_prediction", "predictions_finalresult", "predictions_disclosure", "predictions_consentchange",
    "predictions_correction", "predictions_acceptance", "predictions_promotion", "predictions_deletion",
    "predictions_legalhold", "predictions_aistop",
    "review_reading", "review_label", "review_label_readings", "review_amendment", "review_outcome",
    "review_shownfirst", "review_retraction", "review_instructions", "review_practicesession", "review_practiceitem",
    "review_readingpause",
    "training_flipcause", "training_promotionrequest",
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """What may still happen to the rows of a table of the record.

    free: columns that may change at any time. once: columns that may be filled in while they are empty. cleared:
    columns that may become NULL. moves: (column, from, to), a change of value that may be. when: SQL over OLD; rows for
    which it is false may change. deletable: SQL over OLD; such a row may be deleted.
    """

    free: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    moves: tuple[tuple[str, str, str], ...] = ()
    when: str = ""
    deletable: str = ""


def keep(schema_editor: Any, model: type[models.Model], kept: Kept) -> None:
    """Make, or make anew, the triggers that keep the rows of this model's table."""
    drop(schema_editor, model)
    table, vendor = model._meta.db_table, schema_editor.connection.vendor
    changed = _change(model, kept, "IS NOT" if vendor == "sqlite" else "IS DISTINCT FROM")
    deleted = f"NOT ({kept.deletable})" if kept.deletable else "TRUE"
    make = _sqlite if vendor == "sqlite" else _postgresql
    pk = model._meta.pk
    assert pk is not None
    for statement in make(table, str(pk.column), changed, deleted):
        schema_editor.execute(statement, None)  # without parameters: a percent sign is one


def keeping(app: str, kept: dict[str, Kept]) -> migrations.RunPython:
    """The operation of a migration that keeps the rows of these models of `app`, and whose reverse lets them go."""

    def create(apps: Any, schema_editor: Any) -> None:
        for name, rules in kept.items():
            keep(schema_editor, apps.get_model(app, name), rules)

    def remove(apps: Any, schema_editor: Any) -> None:
        for name in kept:
            drop(schema_editor, apps.get_model(app, name))

    return migrations.RunPython(create, remove)


@dataclass(frozen=True)
class Refusal:
    """A trigger that refuses an UPDATE of `table`.

    words: what the error says. columns: the trigger looks at these only; all, if empty. when: SQL over OLD and NEW;
    the change is refused if it is true, or always, if empty.
    """

    table: str
    words: str
    columns: tuple[str, ...] = ()
    when: str = ""


def refusing(refusals: dict[str, Refusal]) -> migrations.RunPython:
    """The operation of a migration that makes these triggers, by name, and whose reverse drops them."""

    def create(apps: Any, schema_editor: Any) -> None:
        for name, refusal in refusals.items():
            for statement in _refuse(schema_editor.connection.vendor, name, refusal):
                schema_editor.execute(statement)

    def remove(apps: Any, schema_editor: Any) -> None:
        for name, refusal in refusals.items():
            if schema_editor.connection.vendor == "sqlite":
                schema_editor.execute(f"DROP TRIGGER {name}")
            else:
                schema_editor.execute(f"DROP TRIGGER {name} ON {refusal.table}")
                schema_editor.execute(f"DROP FUNCTION {name}()")

    return migrations.RunPython(create, remove)


def _refuse(vendor: str, name: str, refusal: Refusal) -> Iterable[str]:
    event = f"BEFORE UPDATE{' OF ' + ', '.join(refusal.columns) if refusal.columns else ''} ON {refusal.table}"
    if vendor == "sqlite":
        when = f" WHEN {refusal.when}" if refusal.when else ""
        yield f"CREATE TRIGGER {name} {event}{when} BEGIN SELECT RAISE(ABORT, '{refusal.words}'); END"
        return
    when = f" WHEN ({refusal.when})" if refusal.when else ""
    yield (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{refusal.words}' USING ERRCODE = 'check_violation'; END $$"
    )
    yield f"CREATE TRIGGER {name} {event} FOR EACH ROW{when} EXECUTE FUNCTION {name}()"


def drop(schema_editor: Any, model: type[models.Model]) -> None:
    """Drop the triggers of this model's table, if there are any."""
    table = model._meta.db_table
    if schema_editor.connection.vendor == "sqlite":
        for act in ("changed", "deleted", "replaced"):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_is_never_{act}")
    else:
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {table}_is_kept() CASCADE")


def unprotected(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables of the record that lack one of their triggers."""
    acts: tuple[str, ...]
    if connection.vendor == "sqlite":
        query = "SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'trigger'"
        acts = ("changed", "deleted", "replaced")
    else:
        query = (
            "SELECT c.relname || ' ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE t.tgenabled = 'O'"
        )
        acts = ("changed", "truncated")
    with connection.cursor() as cursor:
        cursor.execute(query)
        there = {name for (name,) in cursor.fetchall()}
    return [table for table in TABLES if any(f"{table} {table}_is_never_{act}" not in there for act in acts)]


def _change(model: type[models.Model], kept: Kept, differs: str) -> str:
    """SQL over OLD and NEW: is this a change that must not be?"""
    parts = []
    for field in model._meta.local_concrete_fields:
        column = field.column
        if column in kept.free:
            continue
        change = f'OLD."{column}" {differs} NEW."{column}"'
        if column in kept.once:
            is_text = isinstance(field, models.CharField | models.TextField)
            filled = f"OLD.\"{column}\" <> ''" if is_text else f'OLD."{column}" IS NOT NULL'
            change = f"({filled} AND {change})"
        if column in kept.cleared:
            change = f'(NEW."{column}" IS NOT NULL AND {change})'
        for _, old, new in (move for move in kept.moves if move[0] == column):
            change = f"({change} AND NOT (OLD.\"{column}\" = '{old}' AND NEW.\"{column}\" = '{new}'))"
        parts.append(change)
    refused = f"({' OR '.join(parts)})"
    return f"({kept.when}) AND {refused}" if kept.when else refused


def _sqlite(table: str, pk: str, changed: str, deleted: str) -> Iterable[str]:
    for act, event, condition in (
        ("changed", "UPDATE", changed),
        ("deleted", "DELETE", deleted),
        # REPLACE deletes a row without the trigger of a deletion.
        ("replaced", "INSERT", f'EXISTS (SELECT 1 FROM "{table}" WHERE "{pk}" = NEW."{pk}")'),
    ):
        yield (
            f'CREATE TRIGGER {table}_is_never_{act} BEFORE {event} ON "{table}" WHEN {condition} '
            f"BEGIN SELECT RAISE(ABORT, 'a row of {table} is never {act}'); END"
        )


def _postgresql(table: str, pk: str, changed: str, deleted: str) -> Iterable[str]:
    refuse = f"RAISE EXCEPTION 'a row of {table} is never %', lower(TG_OP) || 'd' USING ERRCODE = 'check_violation'"
    yield (
        f"CREATE FUNCTION {table}_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'UPDATE' THEN IF {changed} THEN {refuse}; END IF; RETURN NEW; END IF; "
        f"IF TG_OP = 'DELETE' THEN IF {deleted} THEN {refuse}; END IF; RETURN OLD; END IF; "
        f"{refuse}; END $$"
    )
    function = f"EXECUTE FUNCTION {table}_is_kept()"
    yield f'CREATE TRIGGER {table}_is_never_changed BEFORE UPDATE OR DELETE ON "{table}" FOR EACH ROW {function}'
    yield f'CREATE TRIGGER {table}_is_never_truncated BEFORE TRUNCATE ON "{table}" FOR EACH STATEMENT {function}'
