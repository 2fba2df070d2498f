"""No code at all can rewrite a correction.

A later migration that makes SQLite build the table anew loses its trigger; tests/predictions/test_corrections.py then
fails, and that migration must run `create` again.
"""

from django.db import migrations

WORDS = "a correction is never changed: a later one corrects again"


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER correction_stands BEFORE UPDATE ON predictions_correction "
            f"BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
        )
    else:
        schema_editor.execute(
            f"CREATE FUNCTION correction_stands() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN RAISE EXCEPTION '{WORDS}' USING ERRCODE = 'check_violation'; END $$"
        )
        schema_editor.execute(
            "CREATE TRIGGER correction_stands BEFORE UPDATE ON predictions_correction FOR EACH ROW "
            "EXECUTE FUNCTION correction_stands()"
        )


def drop(apps, schema_editor):
    on = "" if schema_editor.connection.vendor == "sqlite" else " ON predictions_correction"
    schema_editor.execute(f"DROP TRIGGER correction_stands{on}")
    if on:
        schema_editor.execute("DROP FUNCTION correction_stands()")


class Migration(migrations.Migration):
    dependencies = [("predictions", "0012_corrections")]
    operations = [migrations.RunPython(create, drop)]
