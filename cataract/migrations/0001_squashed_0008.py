"""Notices, accounts and the audit log.

An installation of before has run the migrations that this one replaces; a new one runs this.
"""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, keeping

KEPT = {"AuditEntry": Kept(), "AuditSeal": Kept()}


class Migration(migrations.Migration):

    replaces = [
        ('cataract', '0001_notices'),
        ('cataract', '0002_notice_models_disagree'),
        ('cataract', '0003_acceptance_notice'),
        ('cataract', '0004_accounts'),
        ('cataract', '0005_failed_sign_ins'),
        ('cataract', '0006_service_accounts'),
        ('cataract', '0007_audit'),
        ('cataract', '0008_audit_broken'),
    ]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Account',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, serialize=False, to=settings.AUTH_USER_MODEL)),
                ('must_change_password', models.BooleanField(default=False, help_text='Somebody else knows the password: it is changed at the next sign-in.')),
                ('is_service', models.BooleanField(default=False, help_text="Another system's account: it has API keys and cannot sign in.", verbose_name='service account')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('act', models.CharField(choices=[('signed_in', 'signed in'), ('signed_out', 'signed out'), ('sign_in_failed', 'failed to sign in'), ('rights_changed', "changed somebody's rights"), ('account_changed', 'changed an account'), ('key_made', 'made an API key'), ('key_revoked', 'revoked an API key'), ('admin_changed', 'changed something in the admin'), ('photo_sent', 'sent a photo'), ('photo_viewed', 'looked at a photo'), ('photo_downloaded', 'downloaded an original'), ('answers_shown', 'was shown answers'), ('exported', 'exported data'), ('read', 'answered a case'), ('read_final', "kept or changed an answer after the AI's was shown"), ('reading_undone', 'took a reading back'), ('amended', 'amended or reopened a case'), ('labelled', 'a label was made'), ('labels_retracted', "retracted a reader's labels"), ('outcome_recorded', 'recorded a later outcome'), ('corrected', "corrected a photo's eye or patient, or withdrew it"), ('consent_changed', 'changed a consent'), ('deletion_asked', 'asked for a deletion'), ('deletion_moved', 'confirmed, cancelled, restored or purged a deletion'), ('hold_changed', 'placed or lifted a legal hold'), ('promoted', 'promoted a release'), ('promotion_asked', 'asked for a promotion, or declined one'), ('rolled_back', 'rolled back to the release before'), ('release_rejected', 'rejected a release'), ('flip_explained', 'stated why a flip is accepted'), ('live_test', 'started or ended a live test'), ('acceptance_changed', 'accepted or withdrew automatic answers'), ('training_started', 'started or stopped a training run'), ('chain_verified', 'verified the audit log'), ('chain_broken', 'found the audit log changed')], max_length=20)),
                ('username', models.CharField(blank=True, help_text='As it was then; empty for the system itself.', max_length=150)),
                ('session', models.CharField(blank=True, help_text='The mark of the session, as at its sign-in.', max_length=32)),
                ('key', models.BigIntegerField(blank=True, help_text='The id of the API key.', null=True)),
                ('address', models.CharField(blank=True, max_length=64)),
                ('kind', models.CharField(blank=True, help_text='The model of the object, as app.model.', max_length=60)),
                ('object', models.CharField(blank=True, help_text="The object's id.", max_length=64)),
                ('detail', models.JSONField(blank=True, default=dict)),
                ('user', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ['-pk'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['object', 'act', 'user', 'at'], name='audit_of_object'), models.Index(fields=['user', 'id'], name='audit_of_user'), models.Index(fields=['act', 'id'], name='audit_of_act')],
            },
        ),
        migrations.CreateModel(
            name='AuditSeal',
            fields=[
                ('number', models.BigIntegerField(primary_key=True, serialize=False)),
                ('hash', models.CharField(max_length=64)),
                ('signature', models.CharField(blank=True, max_length=64)),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='seal', to='cataract.auditentry')),
            ],
            options={
                'ordering': ['number'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='FailedSignIns',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(choices=[('pair', 'one name from one address'), ('account', 'one name'), ('address', 'one address'), ('device', 'one name in a known browser')], max_length=7)),
                ('key', models.CharField(help_text='A digest of name, address or browser.', max_length=64)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('last_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('scope', 'key'), name='one_count_of_failed_sign_ins')],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('run_failed', 'A training run has failed'), ('drift', 'Recent photos or answers have drifted'), ('models_disagree', 'The accurate model contradicts sure answers of the fast one'), ('queue_late', 'Cases have waited longer than agreed'), ('acceptance_lost', 'Automatic answers were withdrawn'), ('audit_broken', 'The audit log or the record was changed'), ('key_ends', 'An API key ends soon'), ('predictions_failed', 'Photos could not be analysed')], max_length=18)),
                ('key', models.CharField(help_text='Names the cause among those of its kind.', max_length=64)),
                ('detail', models.CharField(blank=True, help_text='What is wrong now, without data of patients.', max_length=300)),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('mailed_at', models.DateTimeField(blank=True, null=True)),
                ('seen_by', models.ManyToManyField(blank=True, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-opened_at', 'pk'],
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('resolved_at__isnull', True)), fields=('kind', 'key'), name='one_open_notice_per_key')],
            },
        ),
        keeping("cataract", KEPT),
    ]
