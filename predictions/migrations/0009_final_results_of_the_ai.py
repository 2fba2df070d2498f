"""The answers that the AI gave alone become final results, and the database keeps results from being rewritten.

Results by people follow in review's migration. A later migration that makes SQLite build the table anew loses its
trigger; tests/predictions/test_final_results.py then fails, and that migration must run `create` again.
"""

from django.db import migrations

COLUMNS = "prediction_id, answer, detail, basis, status, contradicts_ai, reason, at"
CHANGED = " OR ".join(f"OLD.{name} <> NEW.{name}" for name in COLUMNS.split(", "))
WORDS = "a final result is superseded, never changed"


def fill(apps, schema_editor):
    Prediction, FinalResult = (apps.get_model("predictions", name) for name in ("Prediction", "FinalResult"))
    answered = Prediction.objects.filter(status="done").exclude(decision="").order_by()
    batch = []
    for row in answered.values("pk", "decision", "done_at", "needs_review", "reasons").iterator(chunk_size=2000):
        if row["needs_review"] and row["reasons"] != ["audit_sample"]:
            continue
        status = "provisional" if row["needs_review"] else "final"
        batch.append(
            FinalResult(
                prediction_id=row["pk"], answer=row["decision"], basis="ai", status=status, at=row["done_at"]
            )
        )
        if len(batch) == 2000:
            FinalResult.objects.bulk_create(batch)
            batch = []
    FinalResult.objects.bulk_create(batch)


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER final_result_told BEFORE UPDATE OF {COLUMNS} ON predictions_finalresult "
            f"WHEN {CHANGED} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
        )
    else:
        schema_editor.execute(
            f"CREATE FUNCTION final_result_told() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN RAISE EXCEPTION '{WORDS}' USING ERRCODE = 'check_violation'; END $$"
        )
        schema_editor.execute(
            f"CREATE TRIGGER final_result_told BEFORE UPDATE OF {COLUMNS} ON predictions_finalresult FOR EACH ROW "
            f"WHEN ({CHANGED}) EXECUTE FUNCTION final_result_told()"
        )


def drop(apps, schema_editor):
    on = "" if schema_editor.connection.vendor == "sqlite" else " ON predictions_finalresult"
    schema_editor.execute(f"DROP TRIGGER final_result_told{on}")
    if on:
        schema_editor.execute("DROP FUNCTION final_result_told()")


class Migration(migrations.Migration):
    dependencies = [("predictions", "0008_final_results")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop), migrations.RunPython(create, drop)]
