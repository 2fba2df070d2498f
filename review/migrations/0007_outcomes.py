"""What an eye doctor found later, and the labels that it makes; what was found is superseded, never changed."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


REFUSED = "an outcome is superseded, never changed"
COLUMNS = ("patient_id", "eye", "cataract", "operated", "seen_on")
CHANGED = " OR ".join(f"OLD.{column} <> NEW.{column}" for column in COLUMNS)


def protect(apps, schema_editor):
    """A trigger: no code at all can change what was recorded."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER outcome_stays BEFORE UPDATE ON review_outcome WHEN {CHANGED} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        )
        return
    schema_editor.execute(
        "CREATE FUNCTION outcome_stays() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'check_violation'; END $$"
    )
    schema_editor.execute(
        "CREATE TRIGGER outcome_stays BEFORE UPDATE ON review_outcome FOR EACH ROW "
        f"WHEN ({CHANGED}) EXECUTE FUNCTION outcome_stays()"
    )


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER outcome_stays")
        return
    schema_editor.execute("DROP TRIGGER outcome_stays ON review_outcome")
    schema_editor.execute("DROP FUNCTION outcome_stays()")


class Migration(migrations.Migration):

    dependencies = [
        ('predictions', '0009_final_results_of_the_ai'),
        ('review', '0006_amendments'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Outcome',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('eye', models.CharField(choices=[('OD', 'right eye (OD)'), ('OS', 'left eye (OS)')], max_length=2)),
                ('cataract', models.BooleanField()),
                ('operated', models.BooleanField(default=False)),
                ('seen_on', models.DateField(help_text='Day of the examination, or of the operation.')),
                ('source', models.CharField(choices=[('examination', 'examination by an eye doctor'), ('letter', 'letter from an eye doctor'), ('operation', 'operation report'), ('system', 'another system')], default='examination', max_length=11)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('superseded_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-created_at', 'pk'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='label',
            name='one_standing_label',
        ),
        migrations.AlterField(
            model_name='label',
            name='provenance',
            field=models.CharField(choices=[('blind', 'blind reading'), ('adjudicated', 'adjudicated'), ('after_ai', 'answered after the AI was shown'), ('imported', 'imported'), ('outcome', 'later outcome')], max_length=11),
        ),
        migrations.AddField(
            model_name='outcome',
            name='patient',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='predictions.patient'),
        ),
        migrations.AddField(
            model_name='outcome',
            name='recorded_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='outcome',
            name='supersedes',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='superseded_by', to='review.outcome'),
        ),
        migrations.AddField(
            model_name='label',
            name='outcome',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='review.outcome'),
        ),
        migrations.AddConstraint(
            model_name='label',
            constraint=models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True), models.Q(('provenance', 'outcome'), _negated=True)), fields=('image',), name='one_standing_label'),
        ),
        migrations.AddConstraint(
            model_name='label',
            constraint=models.UniqueConstraint(condition=models.Q(('provenance', 'outcome'), ('superseded_at__isnull', True)), fields=('image',), name='one_standing_outcome_label'),
        ),
        migrations.AddConstraint(
            model_name='outcome',
            constraint=models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True)), fields=('patient', 'eye', 'seen_on'), name='one_standing_outcome_per_eye_and_day'),
        ),
        migrations.AddConstraint(
            model_name='outcome',
            constraint=models.CheckConstraint(condition=models.Q(('eye__in', ['OD', 'OS'])), name='outcome_eye'),
        ),
        migrations.RunPython(protect, unprotect),
    ]
