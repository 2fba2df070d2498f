"""Acceptances of sites; no code changes one that is on record."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

REFUSED = "an acceptance is never changed: a later one counts"


def protect(apps, schema_editor):
    """A trigger: no code at all can change an acceptance that is on record."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"CREATE TRIGGER acceptance_stays BEFORE UPDATE ON predictions_acceptance "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        )
        return
    schema_editor.execute(
        "CREATE FUNCTION acceptance_stays() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'check_violation'; END $$"
    )
    schema_editor.execute(
        "CREATE TRIGGER acceptance_stays BEFORE UPDATE ON predictions_acceptance FOR EACH ROW "
        "EXECUTE FUNCTION acceptance_stays()"
    )


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER acceptance_stays")
        return
    schema_editor.execute("DROP TRIGGER acceptance_stays ON predictions_acceptance")
    schema_editor.execute("DROP FUNCTION acceptance_stays()")


class Migration(migrations.Migration):

    dependencies = [
        ('predictions', '0014_consent_retention_deletion'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='site',
            name='accepts_by_device',
            field=models.BooleanField(default=False, help_text='Whether automatic answers are accepted for each camera or phone by itself. The photos of one then say nothing about another, and each needs labels of its own.', verbose_name='automatic answers by device'),
        ),
        migrations.CreateModel(
            name='Acceptance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('by_device', models.BooleanField(default=False, help_text='Whether the site told devices apart at that time.')),
                ('side', models.CharField(choices=[('cataract', '“cataract”'), ('normal', '“no sign of cataract”')], max_length=8)),
                ('accepted', models.BooleanField()),
                ('basis', models.CharField(choices=[('evidence', 'by evidence'), ('hand', 'by hand'), ('restart', 'counted again from here on')], max_length=8)),
                ('numbers', models.JSONField(default=dict, help_text='The evidence then: n, errors, bound, limit, confidence.')),
                ('reason', models.CharField(max_length=500)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('device', models.ForeignKey(blank=True, help_text='A device that is merged into another one takes its acceptance with it.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='acceptances', to='predictions.device')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='acceptances', to='predictions.release')),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='acceptances', to='predictions.site')),
            ],
            options={
                'ordering': ['-at', '-pk'],
                'permissions': [('decide_acceptance', 'Can accept and withdraw automatic answers')],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['site', 'release', 'side', '-at'], name='acceptance_of_site')],
                'constraints': [models.CheckConstraint(condition=models.Q(('side__in', ['cataract', 'normal'])), name='acceptance_side'), models.CheckConstraint(condition=models.Q(('device__isnull', True), ('by_device', True), _connector='OR'), name='acceptance_of_device'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='acceptance_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('basis', 'evidence'), ('by__isnull', True)), models.Q(('basis', 'hand'), ('by__isnull', False)), models.Q(('accepted', False), ('basis', 'restart'), ('by__isnull', False)), _connector='OR'), name='acceptance_by_whom')],
            },
        ),
        migrations.RunPython(protect, unprotect),
    ]
