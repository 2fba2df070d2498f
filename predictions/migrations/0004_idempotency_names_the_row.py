from typing import Any

from django.db import migrations, models


def name_the_rows(apps: Any, _editor: Any) -> None:
    """Keys of the last day stay good: {"prediction": id} becomes predictions.prediction/id."""
    for request in apps.get_model("predictions", "IdempotentRequest").objects.exclude(response=None):
        ((kind, key),) = request.response.items()
        request.made = f"predictions.{kind}/{key}"
        request.save(update_fields=["made"])


class Migration(migrations.Migration):
    dependencies = [("predictions", "0003_base_release_and_embedding_jobs")]

    operations = [
        migrations.AddField(
            "idempotentrequest",
            "made",
            models.CharField(
                blank=True,
                default="",
                help_text="The row that the first request made, as app.model/id; empty while that request runs.",
                max_length=100,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(name_the_rows, migrations.RunPython.noop),
        migrations.RemoveField("idempotentrequest", "response"),
        migrations.RemoveField("idempotentrequest", "status_code"),
    ]
