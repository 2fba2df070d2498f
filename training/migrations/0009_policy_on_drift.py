"""The policy starts a run on confirmed drift; a limit of one stability index is gone."""

from django.db import migrations, models
from django.db.models import Q


def keep(apps, schema_editor):
    """Who had a limit of drift wants runs on drift."""
    apps.get_model("training", "TrainingPolicy").objects.filter(~Q(max_drift=None)).update(on_drift=True)


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0008_datasets_name_their_source"),
    ]

    operations = [
        migrations.AddField(
            model_name="trainingpolicy",
            name="on_drift",
            field=models.BooleanField(
                default=False,
                help_text="Start once for each confirmed drift, when 30 of the photos that have drifted have new labels.",
                verbose_name="on confirmed drift",
            ),
        ),
        migrations.RunPython(keep, migrations.RunPython.noop),
        migrations.RemoveField(model_name="trainingpolicy", name="max_drift"),
    ]
