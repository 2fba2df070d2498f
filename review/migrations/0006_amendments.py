"""Adjudicators amend and reopen resolved cases; no code changes an amendment that is on record."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


REFUSED = "an amendment is never changed"


def protect(apps, schema_editor):
    """A trigger: no code at all can change an amendment that is on record."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER amendment_stays BEFORE UPDATE ON review_amendment BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        )
        return
    schema_editor.execute(
        "CREATE FUNCTION amendment_stays() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'check_violation'; END $$"
    )
    schema_editor.execute(
        "CREATE TRIGGER amendment_stays BEFORE UPDATE ON review_amendment FOR EACH ROW EXECUTE FUNCTION amendment_stays()"
    )


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER amendment_stays")
        return
    schema_editor.execute("DROP TRIGGER amendment_stays ON review_amendment")
    schema_editor.execute("DROP FUNCTION amendment_stays()")


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0005_final_results_by_people'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Amendment',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('amended', 'amended'), ('reopened', 'reopened')], max_length=8)),
                ('reason', models.TextField(help_text='For the record and for the sender of the photo.')),
                ('answer_before', models.CharField(blank=True, choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('answer', models.CharField(blank=True, choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], help_text='Empty where it was reopened.', max_length=10)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='amendments', to='review.reviewcase')),
            ],
            options={
                'ordering': ['-at'],
            },
        ),
        migrations.AddField(
            model_name='reading',
            name='taken_back_by',
            field=models.ForeignKey(blank=True, help_text='The amendment that retracted it; its reader does not read the case again.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='taken_back', to='review.amendment'),
        ),
        migrations.AddConstraint(
            model_name='amendment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('answer__in', ['cataract', 'normal', 'ungradable', 'other', 'not_an_eye']), ('kind', 'amended')), models.Q(('answer', ''), ('kind', 'reopened')), _connector='OR'), name='amendment_answer'),
        ),
        migrations.AddConstraint(
            model_name='amendment',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='amendment_has_reason'),
        ),
        migrations.RunPython(protect, unprotect),
    ]
