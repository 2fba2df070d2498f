"""What is watched for drift, and its looks; no code changes a look that is on record."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


REFUSED = "a look is never changed: a later one counts"


def protect(apps, schema_editor):
    """A trigger: no code at all can change a look that is on record."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER drift_check_stays BEFORE UPDATE ON predictions_driftcheck "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        )
        return
    schema_editor.execute(
        "CREATE FUNCTION drift_check_stays() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'check_violation'; END $$"
    )
    schema_editor.execute(
        "CREATE TRIGGER drift_check_stays BEFORE UPDATE ON predictions_driftcheck FOR EACH ROW "
        "EXECUTE FUNCTION drift_check_stays()"
    )


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER drift_check_stays")
        return
    schema_editor.execute("DROP TRIGGER drift_check_stays ON predictions_driftcheck")
    schema_editor.execute("DROP FUNCTION drift_check_stays()")


class Migration(migrations.Migration):

    dependencies = [
        ('predictions', '0017_copies_by_visual_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DriftCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, help_text='When the newest photo of the look was answered.')),
                ('state', models.CharField(choices=[('stable', 'No drift'), ('suspected', 'Drift suspected'), ('drifted', 'Drift confirmed'), ('restarted', 'Started over')], max_length=10)),
                ('n_reference', models.PositiveIntegerField(default=0)),
                ('n_recent', models.PositiveIntegerField(default=0)),
                ('alpha', models.FloatField(default=0.0, help_text='How likely this look was to be a false alarm, at most.')),
                ('measures', models.JSONField(default=dict)),
                ('estimated', models.JSONField(default=dict)),
                ('reason', models.CharField(blank=True, max_length=500)),
            ],
            options={
                'ordering': ['-at', '-pk'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='DriftSegment',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('all', 'all photos'), ('site', 'one site'), ('device', 'one device')], max_length=6)),
                ('state', models.CharField(choices=[('collecting', 'Collecting photos'), ('stable', 'No drift'), ('suspected', 'Drift suspected'), ('drifted', 'Drift confirmed')], default='collecting', max_length=10)),
                ('since', models.DateTimeField(blank=True, help_text='When the drift that stands began, by estimate.', null=True)),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('reference', models.JSONField(default=list, help_text='Predictions and clusters that recent ones are compared with.')),
                ('recent', models.JSONField(default=list, help_text='The newest predictions and their clusters, oldest first.')),
                ('fresh', models.PositiveIntegerField(default=0, help_text='Photos since the last look.')),
                ('newest_at', models.DateTimeField(blank=True, help_text='When its newest photo was answered.', null=True)),
                ('looked_at', models.DateTimeField(blank=True, help_text='When the newest photo of the last look was.', null=True)),
                ('day', models.DateField(blank=True, null=True)),
                ('day_photos', models.PositiveIntegerField(default=0, help_text='Photos on that day.')),
                ('rate', models.FloatField(default=1.0, help_text='Share of the photos of that day that is taken.')),
                ('read_until', models.DateTimeField(blank=True, help_text='Of all photos: answers up to then are counted.', null=True)),
                ('version', models.PositiveIntegerField(default=0)),
            ],
            options={
                'default_permissions': ('view', 'change'),
            },
        ),
        migrations.AddIndex(
            model_name='prediction',
            index=models.Index(fields=['release', 'done_at'], name='prediction_of_release'),
        ),
        migrations.AddField(
            model_name='driftcheck',
            name='by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='driftcheck',
            name='release',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release'),
        ),
        migrations.AddField(
            model_name='driftsegment',
            name='device',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.device'),
        ),
        migrations.AddField(
            model_name='driftsegment',
            name='release',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release'),
        ),
        migrations.AddField(
            model_name='driftsegment',
            name='site',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.site'),
        ),
        migrations.AddField(
            model_name='driftcheck',
            name='segment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='checks', to='predictions.driftsegment'),
        ),
        migrations.AddConstraint(
            model_name='driftsegment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('device__isnull', True), ('kind', 'all'), ('site__isnull', True)), models.Q(('device__isnull', True), ('kind', 'site'), ('site__isnull', False)), models.Q(('device__isnull', False), ('kind', 'device'), ('site__isnull', False)), _connector='OR'), name='drift_segment_kind'),
        ),
        migrations.AddConstraint(
            model_name='driftsegment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'drifted'), _negated=True), models.Q(('confirmed_at__isnull', False), ('since__isnull', False)), _connector='OR'), name='drifted_segment_says_since_when'),
        ),
        migrations.AddConstraint(
            model_name='driftsegment',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'all')), fields=('kind',), name='one_drift_segment_of_all'),
        ),
        migrations.AddConstraint(
            model_name='driftsegment',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'site')), fields=('site',), name='one_drift_segment_a_site'),
        ),
        migrations.AddConstraint(
            model_name='driftsegment',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'device')), fields=('device',), name='one_drift_segment_a_device'),
        ),
        migrations.AddIndex(
            model_name='driftcheck',
            index=models.Index(fields=['segment', '-at'], name='drift_check_of_segment'),
        ),
        migrations.AddConstraint(
            model_name='driftcheck',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'restarted'), _negated=True), models.Q(('by__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='restart_of_drift_says_why'),
        ),
        migrations.RunPython(protect, unprotect),
    ]
