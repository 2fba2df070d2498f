"""Triggers: no code at all can move a case against its machine, change an answer that was given, or rewrite a label.

A later migration that makes SQLite build one of these tables anew loses its triggers; tests/review/test_transitions.py then
fails, and that migration must run `create` again.
"""

from django.db import migrations

MOVES = (
    "first>second first>resolved first>withdrawn second>first second>adjudication second>resolved second>withdrawn "
    "adjudication>second adjudication>resolved adjudication>withdrawn resolved>first resolved>second resolved>adjudication"
).split()
LEGAL = ", ".join(f"'{move}'" for move in MOVES)
# name: table, columns that set it off, what is refused, what is said
REFUSED = {
    "case_moves": (
        "review_reviewcase",
        "status",
        f"OLD.status <> NEW.status AND (OLD.status || '>' || NEW.status) NOT IN ({LEGAL})",
        "no such move of a review case",
    ),
    "reading_answers": (
        "review_reading",
        "blind_answer, final_answer",
        "OLD.blind_answer <> NEW.blind_answer OR (OLD.final_answer <> '' AND OLD.final_answer <> NEW.final_answer)",
        "an answer is never changed",
    ),
    "label_answers": (
        "review_label",
        "answer, provenance, may_train, image_id",
        "OLD.answer <> NEW.answer OR OLD.provenance <> NEW.provenance OR OLD.may_train <> NEW.may_train "
        "OR OLD.image_id <> NEW.image_id",
        "a label is superseded, never changed",
    ),
}


def create(apps, schema_editor):
    for name, (table, columns, refused, words) in REFUSED.items():
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(
                f"CREATE TRIGGER {name} BEFORE UPDATE OF {columns} ON {table} WHEN {refused} "
                f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
        else:
            schema_editor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
                f"BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = 'check_violation'; END $$"
            )
            schema_editor.execute(
                f"CREATE TRIGGER {name} BEFORE UPDATE OF {columns} ON {table} FOR EACH ROW "
                f"WHEN ({refused}) EXECUTE FUNCTION {name}()"
            )


def drop(apps, schema_editor):
    for name, (table, *_) in REFUSED.items():
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(f"DROP TRIGGER {name}")
        else:
            schema_editor.execute(f"DROP TRIGGER {name} ON {table}")
            schema_editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("review", "0002_choices_of_readings")]
    operations = [migrations.RunPython(create, drop)]
