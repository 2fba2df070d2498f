"""Photos, predictions, releases and what was told of them.

An installation of before has run the migrations that this one replaces; a new one runs this.
"""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, Refusal, keeping, refusing

TOLD = ("prediction_id", "answer", "detail", "basis", "status", "contradicts_ai", "reason", "at")
REFUSED = {
    "final_result_told": Refusal(
        "predictions_finalresult",
        "a final result is superseded, never changed",
        TOLD,
        " OR ".join(f"OLD.{name} <> NEW.{name}" for name in TOLD),
    ),
    "correction_stands": Refusal(
        "predictions_correction", "a correction is never changed: a later one corrects again"
    ),
    "acceptance_stays": Refusal("predictions_acceptance", "an acceptance is never changed: a later one counts"),
    "drift_check_stays": Refusal("predictions_driftcheck", "a look is never changed: a later one counts"),
}
KEPT = {
    "Prediction": Kept(when="OLD.status = 'done'", free=("has_case",), once=("replaced_by_id", "replaced_at")),
    "FinalResult": Kept(once=("superseded_at",)),
    "Disclosure": Kept(),
    "ConsentChange": Kept(cleared=("patient_id",)),  # a purge forgets the patient
    # A correction names patients: the purge of its photo deletes it.
    "Correction": Kept(
        deletable="EXISTS (SELECT 1 FROM predictions_eyeimage WHERE id = OLD.image_id AND status = 'purging')"
    ),
    "Acceptance": Kept(deletable="OLD.device_id IS NOT NULL"),  # a device that is merged takes its acceptance with it
    "Promotion": Kept(),
    "Deletion": Kept(
        free=("status", "purge_after", "ended_by_id"), once=("confirmed_by_id", "trashed_at", "ended_at")
    ),
    "LegalHold": Kept(once=("lifted_by_id", "lifted_at", "lift_reason")),
}


def add_index(apps, schema_editor):
    """PostgreSQL finds the first characters of a key by an index of its own; SQLite reads the keys, which are few."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX patient_by_first_characters ON predictions_patient (UPPER(key::text) text_pattern_ops)"
        )


def remove_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX patient_by_first_characters")


class Migration(migrations.Migration):

    replaces = [
        ('predictions', '0001_initial'),
        ('predictions', '0002_live_tests'),
        ('predictions', '0003_base_release_and_embedding_jobs'),
        ('predictions', '0004_idempotency_names_the_row'),
        ('predictions', '0005_plain_english'),
        ('predictions', '0006_sites_patients_devices'),
        ('predictions', '0007_fill_sites_patients_devices'),
        ('predictions', '0008_final_results'),
        ('predictions', '0009_final_results_of_the_ai'),
        ('predictions', '0010_news_and_saved_filters'),
        ('predictions', '0011_patients_and_retakes'),
        ('predictions', '0012_corrections'),
        ('predictions', '0013_corrections_are_append_only'),
        ('predictions', '0014_consent_retention_deletion'),
        ('predictions', '0015_local_acceptance'),
        ('predictions', '0016_photos_always_read'),
        ('predictions', '0017_copies_by_visual_words'),
        ('predictions', '0018_drift_segments'),
        ('predictions', '0019_releases_rejected_with_a_reason'),
        ('predictions', '0020_indexes_for_long_lists'),
        ('predictions', '0021_near_duplicate_index'),
        ('predictions', '0022_the_record_is_kept'),
    ]

    initial = True

    dependencies = [
        ('auth', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Prepared',
            fields=[
                ('name', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('content', models.JSONField(null=True)),
                ('made_at', models.DateTimeField(help_text='The rows as they were then are in it.', null=True)),
                ('asked_at', models.DateTimeField(help_text='Since when a worker is asked for a newer one.', null=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('scopes', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'verbose_name': 'API key',
            },
        ),
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('cancelled', 'Cancelled')], default='running', max_length=9)),
                ('name', models.CharField(blank=True, help_text='A label only: the name of the archive.', max_length=100)),
                ('archive', models.BooleanField(default=False, help_text='One ZIP was sent instead of single files.')),
                ('mode', models.CharField(choices=[('cascade', 'Cascade'), ('fast', 'Fast'), ('accurate', 'Accurate'), ('always', 'Always')], default='cascade', max_length=8)),
                ('source', models.CharField(choices=[('upload', 'web page'), ('api', 'API'), ('command', 'command line'), ('import', 'import')], max_length=8)),
                ('total', models.PositiveIntegerField()),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0, help_text='Also the fencing token of the attempt that holds the lease.')),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'batches',
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['running', 'done', 'cancelled'])), name='batch_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'done'), _negated=True), ('done_at__isnull', False), _connector='OR'), name='batch_done_at')],
            },
        ),
        migrations.CreateModel(
            name='Cluster',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('split', models.CharField(choices=[('train', 'training'), ('calibration', 'calibration'), ('test', 'test'), ('excluded', 'left out: its cluster merged with one of another split')], max_length=11)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('split__in', ['train', 'calibration', 'test', 'excluded'])), name='cluster_split')],
            },
        ),
        migrations.CreateModel(
            name='IdempotentRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('endpoint', models.CharField(max_length=64)),
                ('key', models.CharField(max_length=128)),
                ('body_sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('made', models.CharField(blank=True, help_text='The row the first request made, as app.model/id; empty while it runs.', max_length=100)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'endpoint', 'key'), name='one_idempotency_key')],
            },
        ),
        migrations.CreateModel(
            name='MailChoice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wants_digest', models.BooleanField(default=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='mail_choice', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('challenger', 'Challenger'), ('champion', 'Champion'), ('retired', 'Retired'), ('rejected', 'Rejected'), ('base', 'Base')], default='challenger', max_length=10)),
                ('manifest_sha256', models.CharField(max_length=64)),
                ('encoder', models.CharField(help_text='Hash of the encoder.', max_length=64)),
                ('manifest', models.JSONField(default=dict)),
                ('metrics', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('promoted_at', models.DateTimeField(blank=True, null=True)),
                ('rejected_at', models.DateTimeField(blank=True, null=True)),
                ('rejection', models.TextField(blank=True, help_text='Why it was rejected.')),
                ('rejected_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'permissions': [('promote_release', 'Can promote a release and roll back')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'champion')), fields=('status',), name='one_champion'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'champion'), _negated=True), ('promoted_at__isnull', False), _connector='OR'), name='champion_was_promoted'), models.CheckConstraint(condition=models.Q(('status__in', ['challenger', 'champion', 'retired', 'rejected', 'base'])), name='release_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'rejected'), _negated=True), models.Q(('rejection', ''), _negated=True), _connector='OR'), name='rejected_release_says_why')],
            },
        ),
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('is_rollback', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('promoted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('previous', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.release')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='predictions.release')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='LiveTest',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('shadow', 'in shadow: it scores live photos, and its answers are shown to no one'), ('ab', 'A/B: it answers a share of the patients')], max_length=6)),
                ('share', models.FloatField(blank=True, help_text='A/B: the share of patients that the challenger answers.', null=True)),
                ('photos', models.PositiveIntegerField(help_text='The report is complete after this many photos.')),
                ('reason', models.TextField()),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('end_reason', models.TextField(blank=True)),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('started_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('challenger', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='live_tests', to='predictions.release')),
                ('champion', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.release')),
            ],
            options={
                'ordering': ['-started_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('kind',), name='one_live_test_per_kind'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'shadow'), ('share__isnull', True)), models.Q(('kind', 'ab'), ('share__gt', 0), ('share__lte', 0.5)), _connector='OR'), name='live_test_share'), models.CheckConstraint(condition=models.Q(('ended_at__isnull', True), models.Q(('end_reason', ''), _negated=True), _connector='OR'), name='ended_live_test_says_why')],
            },
        ),
        migrations.CreateModel(
            name='EmbeddingJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Done')], default='waiting', max_length=7)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0, help_text='Also the fencing token of the attempt that holds the lease.')),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('cursor', models.UUIDField(blank=True, help_text='The last photo processed.', null=True)),
                ('total', models.PositiveIntegerField(default=0, help_text='Photos without an embedding when the job was requested.')),
                ('embedded', models.PositiveIntegerField(default=0)),
                ('unreadable', models.PositiveIntegerField(default=0, help_text='Photos whose file is missing or damaged: run doctor.')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='embedding_jobs', to='predictions.release')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'done'])), name='embedding_job_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'done'), _negated=True), ('finished_at__isnull', False), _connector='OR'), name='done_embedding_job_has_ended'), models.UniqueConstraint(condition=models.Q(('status', 'waiting')), fields=('release',), name='one_waiting_embedding_job')],
            },
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=40)),
                ('query', models.CharField(help_text='As in the address, without the question mark.', max_length=500)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_filters', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('user', 'name'), name='one_saved_filter_per_name')],
            },
        ),
        migrations.CreateModel(
            name='Site',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('letterhead', models.TextField(blank=True, help_text='Name, address and telephone as they stand on letters. Empty: the name.')),
                ('trains_by_default', models.BooleanField(default=True, help_text='Whether the upload form starts with consent to train ticked. The sender can always change it.', verbose_name='consent is ticked at first')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('deletion_needs_two', models.BooleanField(default=False, help_text='Whether an administrator other than the one who asks must confirm each deletion.', verbose_name='deletions need a second person')),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text='Older photos go to the trash each night, unless their patient is on hold. Empty: photos are kept.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='days to keep photos')),
                ('accepts_by_device', models.BooleanField(default=False, help_text='Whether automatic answers are accepted for each camera or phone by itself. The photos of one then say nothing about another, and each needs labels of its own.', verbose_name='automatic answers by device')),
                ('users', models.ManyToManyField(blank=True, related_name='sites', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Device',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Manufacturer and model.', max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='devices', to='predictions.site')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('site', 'name'), name='one_device_per_name')],
            },
        ),
        migrations.CreateModel(
            name='Patient',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(db_index=True, help_text='Pseudonym, never a name.', max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='patients', to='predictions.site')),
                ('consent_withdrawn_at', models.DateTimeField(blank=True, help_text='Since then no new photo of this patient may train.', null=True)),
            ],
            options={
                'ordering': ['key'],
                'constraints': [models.UniqueConstraint(fields=('site', 'key'), name='one_patient_per_key'), models.CheckConstraint(condition=models.Q(('key', ''), _negated=True), name='patient_has_a_key')],
            },
        ),
        migrations.CreateModel(
            name='EyeImage',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('sha256', models.CharField(db_index=True, help_text='Of the bytes as sent.', max_length=64)),
                ('stored_sha256', models.CharField(help_text='Of the stripped file; also its address in storage.', max_length=64)),
                ('stored_name', models.CharField(blank=True, help_text='Path below the photo folder.', max_length=100)),
                ('original_name', models.CharField(blank=True, help_text='A label only; never a path.', max_length=100)),
                ('format', models.CharField(max_length=8)),
                ('width', models.PositiveIntegerField(help_text='After orientation, in pixels.')),
                ('height', models.PositiveIntegerField(help_text='After orientation, in pixels.')),
                ('size', models.PositiveBigIntegerField(help_text='Of the stored file, in bytes.')),
                ('orientation', models.PositiveSmallIntegerField(default=1, help_text='EXIF orientation, 1 to 8.')),
                ('colour_profile', models.CharField(blank=True, max_length=64)),
                ('perceptual_hash', models.CharField(blank=True, db_index=True, help_text='64-bit pHash in hex.', max_length=16)),
                ('eye', models.CharField(blank=True, choices=[('OD', 'right eye (OD)'), ('OS', 'left eye (OS)'), ('', 'not stated')], max_length=2)),
                ('captured_at', models.DateTimeField(blank=True, null=True)),
                ('capture', models.JSONField(blank=True, default=dict, help_text='Allow-listed technical facts from the header.')),
                ('quality', models.JSONField(blank=True, default=dict, help_text='Brightness, sharpness and other measurements.')),
                ('may_train', models.BooleanField(default=True, help_text='Consent to use this photo for training.')),
                ('split', models.CharField(choices=[('train', 'training'), ('calibration', 'calibration'), ('test', 'test'), ('excluded', 'left out: its cluster merged with one of another split')], max_length=11)),
                ('source', models.CharField(choices=[('upload', 'web page'), ('api', 'API'), ('command', 'command line'), ('import', 'import')], max_length=8)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('cluster', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.cluster')),
                ('near_duplicate_of', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='predictions.eyeimage')),
                ('uploaded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.site')),
                ('device', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.device')),
                ('patient', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.patient')),
                ('retake_of', models.ForeignKey(blank=True, help_text='The photo of the same eye that this one was taken to replace.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='retakes', to='predictions.eyeimage')),
                ('corrected_at', models.DateTimeField(blank=True, help_text='When its eye or patient was last corrected, or it was withdrawn or restored.', null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, help_text='Sent by mistake; it stays on record only.', null=True)),
                ('removed_at', models.DateTimeField(blank=True, help_text='When it last moved towards the purge.', null=True)),
                ('status', models.CharField(choices=[('kept', 'kept'), ('trashed', 'in the trash'), ('purging', 'being purged'), ('purged', 'purged')], db_index=True, default='kept', max_length=7)),
                ('always_read', models.BooleanField(default=False, help_text='Drawn, before any answer, among those that people read whatever the AI says.')),
                ('always_read_rate', models.FloatField(blank=True, help_text='The share of patients that was drawn when it was stored; empty for imports.', null=True)),
                ('compared_at', models.DateTimeField(blank=True, help_text='When cropped, turned and mirrored copies of it were looked for.', null=True)),
                ('band_0', models.GeneratedField(db_persist=True, expression=django.db.models.functions.text.Substr('perceptual_hash', 1, 4), output_field=models.CharField(max_length=4))),
                ('band_1', models.GeneratedField(db_persist=True, expression=django.db.models.functions.text.Substr('perceptual_hash', 5, 4), output_field=models.CharField(max_length=4))),
                ('band_2', models.GeneratedField(db_persist=True, expression=django.db.models.functions.text.Substr('perceptual_hash', 9, 4), output_field=models.CharField(max_length=4))),
                ('band_3', models.GeneratedField(db_persist=True, expression=django.db.models.functions.text.Substr('perceptual_hash', 13, 4), output_field=models.CharField(max_length=4))),
            ],
            options={
                'ordering': ['-created_at'],
                'permissions': [('view_every_eyeimage', 'Can see the photos of every uploader'), ('download_original', 'Can download stored originals')],
                'indexes': [models.Index(fields=['patient', 'uploaded_by', '-created_at'], name='image_of_patient'), models.Index(condition=models.Q(('compared_at__isnull', True)), fields=['created_at'], name='image_not_compared'), models.Index(condition=models.Q(models.Q(('status', 'kept'), _negated=True), ('withdrawn_at__isnull', False), _connector='OR'), fields=['id'], name='image_out_of_use'), models.Index(condition=models.Q(('corrected_at__isnull', False)), fields=['corrected_at'], name='image_corrected'), models.Index(fields=['band_0', 'perceptual_hash'], name='image_band_0'), models.Index(fields=['band_1', 'perceptual_hash'], name='image_band_1'), models.Index(fields=['band_2', 'perceptual_hash'], name='image_band_2'), models.Index(fields=['band_3', 'perceptual_hash'], name='image_band_3')],
                'constraints': [models.CheckConstraint(condition=models.Q(('eye__in', ['OD', 'OS', ''])), name='image_eye'), models.CheckConstraint(condition=models.Q(('split__in', ['train', 'calibration', 'test', 'excluded'])), name='image_split'), models.CheckConstraint(condition=models.Q(('orientation__range', (1, 8))), name='image_orientation'), models.UniqueConstraint(condition=models.Q(('status', 'purged'), _negated=True), fields=('sha256',), name='one_image_per_bytes'), models.CheckConstraint(condition=models.Q(models.Q(('removed_at__isnull', True), ('status', 'kept')), models.Q(('removed_at__isnull', False), ('status__in', ['trashed', 'purging', 'purged'])), _connector='OR'), name='image_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'purged'), _negated=True), models.Q(('captured_at__isnull', True), ('device__isnull', True), ('eye', ''), ('may_train', False), ('original_name', ''), ('patient__isnull', True), ('perceptual_hash', ''), ('stored_name', '')), _connector='OR'), name='purged_image_is_a_tombstone'), models.CheckConstraint(condition=models.Q(models.Q(('stored_name', ''), _negated=True), ('status', 'purged'), _connector='OR'), name='image_has_a_file'), models.CheckConstraint(condition=models.Q(('always_read', False), models.Q(('always_read_rate__gt', 0), ('always_read_rate__lte', 1)), _connector='OR'), name='drawn_image_has_a_rate')],
            },
        ),
        migrations.CreateModel(
            name='Embedding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('encoder', models.CharField(help_text='Hash of the encoder that made it.', max_length=64)),
                ('vector', models.BinaryField(help_text="Little-endian float32: the fast model's features for this photo.")),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='embeddings', to='predictions.eyeimage')),
            ],
            options={
                'indexes': [models.Index(fields=['encoder', '-created_at'], name='embedding_newest')],
                'constraints': [models.UniqueConstraint(fields=('image', 'encoder'), name='one_embedding_per_encoder')],
            },
        ),
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('wrong_eye', 'Eye corrected'), ('wrong_patient', 'Patient corrected'), ('wrong_photo', 'Withdrawn: sent by mistake'), ('duplicate', "Withdrawn: duplicate of another patient's photo"), ('restored', 'Restored')], max_length=13)),
                ('before', models.CharField(blank=True, max_length=64)),
                ('after', models.CharField(blank=True, max_length=64)),
                ('reason', models.CharField(max_length=500)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='predictions.eyeimage')),
            ],
            options={
                'ordering': ['-at', 'pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['wrong_eye', 'wrong_patient', 'wrong_photo', 'duplicate', 'restored'])), name='correction_kind'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='correction_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['wrong_eye', 'wrong_patient']), models.Q(('after', ''), _negated=True)), models.Q(('after', ''), ('before', ''), ('kind__in', ['wrong_photo', 'duplicate', 'restored'])), _connector='OR'), name='correction_of_what')],
            },
        ),
        migrations.CreateModel(
            name='LegalHold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('placed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lifted_at', models.DateTimeField(blank=True, null=True)),
                ('lift_reason', models.TextField(blank=True)),
                ('lifted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('placed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='predictions.patient')),
            ],
            options={
                'ordering': ['-placed_at'],
                'permissions': [('hold_patient', 'Can place and lift legal holds')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at__isnull', True)), fields=('patient',), name='one_standing_hold_per_patient'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='hold_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('lift_reason', ''), ('lifted_at__isnull', True), ('lifted_by__isnull', True)), models.Q(('lifted_at__isnull', False), ('lifted_by__isnull', False), models.Q(('lift_reason', ''), _negated=True)), _connector='OR'), name='lifted_hold_says_why')],
            },
        ),
        migrations.CreateModel(
            name='ConsentChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('before', models.BooleanField()),
                ('after', models.BooleanField()),
                ('reason', models.TextField()),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('image', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='consent_changes', to='predictions.eyeimage')),
                ('patient', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='consent_changes', to='predictions.patient')),
            ],
            options={
                'ordering': ['-at', '-pk'],
                'permissions': [('change_consent', 'Can give and withdraw consent to train with photos')],
                'constraints': [models.CheckConstraint(condition=models.Q(('image__isnull', False), ('patient__isnull', False), _connector='OR'), name='consent_is_of_a_photo_or_patient'), models.CheckConstraint(condition=models.Q(('before', models.F('after')), _negated=True), name='consent_changes'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='consent_change_says_why')],
            },
        ),
        migrations.CreateModel(
            name='Prediction',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('done', 'Done'), ('failed', 'Failed')], default='queued', max_length=6)),
                ('mode', models.CharField(choices=[('cascade', 'Cascade'), ('fast', 'Fast'), ('accurate', 'Accurate'), ('always', 'Always')], default='cascade', max_length=8)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Also the fencing token of the attempt that holds the lease.')),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('error', models.TextField(blank=True)),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('policy_version', models.CharField(blank=True, max_length=32)),
                ('decision', models.CharField(blank=True, choices=[('cataract', 'Probably cataract'), ('normal', 'No sign of cataract in this photo'), ('ungradable', 'Cannot judge')], max_length=10)),
                ('probability', models.FloatField(blank=True, help_text='Calibrated probability of cataract behind the decision.', null=True)),
                ('fast_score', models.FloatField(blank=True, help_text='Raw score (log-odds) of the fast model.', null=True)),
                ('fast_probability', models.FloatField(blank=True, null=True)),
                ('accurate_score', models.FloatField(blank=True, help_text='Raw score (logit) of the accurate model.', null=True)),
                ('accurate_probability', models.FloatField(blank=True, null=True)),
                ('route', models.CharField(blank=True, help_text='gate, fast, accurate or fast+accurate.', max_length=16)),
                ('needs_review', models.BooleanField(default=False)),
                ('reasons', models.JSONField(blank=True, default=list)),
                ('review_propensity', models.FloatField(blank=True, help_text='Probability of being sent to review; 1 when review was certain.', null=True)),
                ('gate', models.JSONField(blank=True, default=dict, help_text='What the gate measured and decided.')),
                ('timings', models.JSONField(blank=True, default=dict, help_text='Milliseconds per stage.')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='predictions', to='predictions.eyeimage')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='predictions', to='predictions.release')),
                ('replaced_at', models.DateTimeField(blank=True, null=True)),
                ('replaced_by', models.ForeignKey(blank=True, help_text='The answer of a retake that can be judged, where this photo could not be.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaces', to='predictions.prediction')),
                ('has_case', models.BooleanField(default=False, help_text='Whether a case was opened for it: the review looks for the others only.')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['status', 'lease_until'], name='prediction_waiting'), models.Index(fields=['release', 'done_at'], name='prediction_of_release'), models.Index(fields=['-created_at', 'id'], name='prediction_newest'), models.Index(fields=['status', 'done_at'], name='prediction_done'), models.Index(condition=models.Q(('has_case', False), models.Q(models.Q(('needs_review', True), ('status', 'done')), ('status', 'failed'), _connector='OR')), fields=['created_at'], name='prediction_without_case'), models.Index(condition=models.Q(('replaced_at__isnull', False)), fields=['replaced_at'], name='prediction_replaced')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'done', 'failed'])), name='prediction_status'), models.CheckConstraint(condition=models.Q(('decision__in', ['cataract', 'normal', 'ungradable', ''])), name='prediction_decision'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'done'), _negated=True), models.Q(('done_at__isnull', False), ('review_propensity__gt', 0), ('review_propensity__lte', 1), models.Q(models.Q(('release__isnull', False), models.Q(('decision', ''), _negated=True)), models.Q(('decision', ''), ('needs_review', True)), _connector='OR')), _connector='OR'), name='done_prediction_is_complete'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'queued'), _negated=True), models.Q(('decision', ''), ('done_at__isnull', True)), _connector='OR'), name='queued_prediction_is_silent'), models.CheckConstraint(condition=models.Q(('probability__isnull', True), models.Q(('probability__gte', 0), ('probability__lte', 1)), _connector='OR'), name='prediction_probability'), models.CheckConstraint(condition=models.Q(models.Q(('replaced_at__isnull', True), ('replaced_by__isnull', True)), models.Q(('decision', 'ungradable'), ('replaced_at__isnull', False), ('replaced_by__isnull', False)), _connector='OR'), name='replaced_prediction_is_ungradable')],
            },
        ),
        migrations.CreateModel(
            name='News',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('is_urgent', models.BooleanField(default=False, help_text='An answer changed that had been told: the mail is sent at once.')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('seen_at', models.DateTimeField(blank=True, null=True)),
                ('mailed_at', models.DateTimeField(blank=True, help_text='When its mail was begun: sent at most once.', null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('prediction', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='news', to='predictions.prediction')),
            ],
            options={
                'verbose_name_plural': 'news',
                'ordering': ['-at', '-pk'],
                'indexes': [models.Index(condition=models.Q(('seen_at__isnull', True)), fields=['user'], name='news_unseen'), models.Index(condition=models.Q(('mailed_at__isnull', True), ('seen_at__isnull', True)), fields=['is_urgent', 'at'], name='news_unmailed')],
                'constraints': [models.UniqueConstraint(fields=('user', 'prediction'), name='one_news_per_prediction')],
            },
        ),
        migrations.CreateModel(
            name='FinalResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answer', models.CharField(choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('detail', models.CharField(blank=True, choices=[('blur', 'Blurred'), ('dark', 'Too dark'), ('glare', 'Glare or flash on the pupil'), ('lid', 'Lid or lashes cover the pupil'), ('view', 'Wrong view'), ('pterygium', 'Pterygium'), ('corneal_opacity', 'Corneal opacity'), ('implant', 'Artificial lens'), ('inflammation', 'Red or inflamed eye'), ('other', 'Something else')], help_text='Why it cannot be judged, or which other pathology.', max_length=64)),
                ('basis', models.CharField(choices=[('ai', 'AI alone'), ('single', 'one clinician'), ('double', 'two clinicians'), ('adjudicated', 'adjudication')], max_length=11)),
                ('status', models.CharField(choices=[('provisional', 'Provisional'), ('final', 'Final'), ('amended', 'Amended')], max_length=11)),
                ('contradicts_ai', models.BooleanField(default=False)),
                ('reason', models.TextField(blank=True, help_text='Why it was amended, for the sender.')),
                ('at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('superseded_at', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('prediction', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='final_results', to='predictions.prediction')),
            ],
            options={
                'ordering': ['-at', '-pk'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True)), fields=('prediction',), name='one_standing_final_result'), models.CheckConstraint(condition=models.Q(('answer__in', ['cataract', 'normal', 'ungradable', 'other', 'not_an_eye'])), name='final_result_answer'), models.CheckConstraint(condition=models.Q(('basis__in', ['ai', 'single', 'double', 'adjudicated'])), name='final_result_basis'), models.CheckConstraint(condition=models.Q(('status__in', ['provisional', 'final', 'amended'])), name='final_result_status'), models.CheckConstraint(condition=models.Q(models.Q(('basis', 'ai'), _negated=True), ('contradicts_ai', False), _connector='OR'), name='the_ai_never_contradicts_itself')],
            },
        ),
        migrations.CreateModel(
            name='Disclosure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('image', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='disclosures', to='predictions.eyeimage')),
                ('prediction', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='disclosures', to='predictions.prediction')),
            ],
            options={
                'indexes': [models.Index(fields=['image', 'user'], name='disclosure_of_image')],
                'constraints': [models.UniqueConstraint(fields=('prediction', 'user'), name='one_disclosure_per_person')],
            },
        ),
        migrations.CreateModel(
            name='BatchItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('name', models.CharField(help_text='The name as sent; a label only, never a path.', max_length=255)),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('stored', 'Stored'), ('known', 'Known'), ('refused', 'Refused')], default='waiting', max_length=7)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('patient_key', models.CharField(blank=True, max_length=64)),
                ('eye', models.CharField(blank=True, choices=[('OD', 'right eye (OD)'), ('OS', 'left eye (OS)'), ('', 'not stated')], max_length=2)),
                ('site', models.CharField(blank=True, max_length=64)),
                ('device', models.CharField(blank=True, max_length=64)),
                ('captured_at', models.DateTimeField(blank=True, null=True)),
                ('may_train', models.BooleanField(blank=True, help_text='Empty: the default of the site.', null=True)),
                ('code', models.CharField(blank=True, help_text='Why it was refused, for programs.', max_length=32)),
                ('message', models.TextField(blank=True, help_text='Why it was refused, for people.')),
                ('batch', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='predictions.batch')),
                ('earlier', models.ForeignKey(blank=True, help_text='Of a refused file: the result of the same photo, sent before with another patient or eye.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.prediction')),
                ('prediction', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.prediction')),
            ],
            options={
                'ordering': ['batch', 'position'],
                'constraints': [models.UniqueConstraint(fields=('batch', 'position'), name='one_item_per_position'), models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'stored', 'known', 'refused'])), name='batch_item_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'stored'), _negated=True), ('prediction__isnull', False), _connector='OR'), name='stored_item_has_a_prediction'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'refused'), _negated=True), models.Q(('code', ''), _negated=True), _connector='OR'), name='refused_item_says_why')],
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
                ('device', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.device')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release')),
                ('site', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.site')),
            ],
            options={
                'default_permissions': ('view', 'change'),
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('device__isnull', True), ('kind', 'all'), ('site__isnull', True)), models.Q(('device__isnull', True), ('kind', 'site'), ('site__isnull', False)), models.Q(('device__isnull', False), ('kind', 'device'), ('site__isnull', False)), _connector='OR'), name='drift_segment_kind'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'drifted'), _negated=True), models.Q(('confirmed_at__isnull', False), ('since__isnull', False)), _connector='OR'), name='drifted_segment_says_since_when'), models.UniqueConstraint(condition=models.Q(('kind', 'all')), fields=('kind',), name='one_drift_segment_of_all'), models.UniqueConstraint(condition=models.Q(('kind', 'site')), fields=('site',), name='one_drift_segment_a_site'), models.UniqueConstraint(condition=models.Q(('kind', 'device')), fields=('device',), name='one_drift_segment_a_device')],
            },
        ),
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
                ('by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('segment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='checks', to='predictions.driftsegment')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release')),
            ],
            options={
                'ordering': ['-at', '-pk'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['segment', '-at'], name='drift_check_of_segment')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('state', 'restarted'), _negated=True), models.Q(('by__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='restart_of_drift_says_why')],
            },
        ),
        migrations.CreateModel(
            name='ShadowAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('decision', models.CharField(blank=True, choices=[('cataract', 'Probably cataract'), ('normal', 'No sign of cataract in this photo'), ('ungradable', 'Cannot judge')], max_length=10)),
                ('probability', models.FloatField(blank=True, null=True)),
                ('needs_review', models.BooleanField(default=False)),
                ('reasons', models.JSONField(blank=True, default=list)),
                ('route', models.CharField(blank=True, max_length=16)),
                ('timings', models.JSONField(blank=True, default=dict, help_text='Milliseconds per stage.')),
                ('error', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('prediction', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shadow_answers', to='predictions.prediction')),
                ('test', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='answers', to='predictions.livetest')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('test', 'prediction'), name='one_shadow_answer_per_prediction'), models.CheckConstraint(condition=models.Q(models.Q(('decision__in', ['cataract', 'normal', 'ungradable']), ('error', '')), models.Q(('decision', ''), models.Q(('error', ''), _negated=True)), _connector='OR'), name='shadow_answer_or_error')],
            },
        ),
        migrations.CreateModel(
            name='DeviceSpelling',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64)),
                ('merged_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='spellings', to='predictions.device')),
                ('merged_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.site')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('site', 'name'), name='one_device_per_spelling')],
            },
        ),
        migrations.CreateModel(
            name='Deletion',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('photos', 'single photos'), ('patient', 'a patient with all photos'), ('retention', 'older than the site keeps photos')], max_length=9)),
                ('status', models.CharField(choices=[('requested', 'waits for a second person'), ('trashed', 'in the trash'), ('purging', 'being purged'), ('purged', 'purged'), ('restored', 'restored'), ('cancelled', 'cancelled')], default='requested', max_length=9)),
                ('reason', models.TextField()),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('trashed_at', models.DateTimeField(blank=True, null=True)),
                ('purge_after', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('confirmed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('images', models.ManyToManyField(related_name='deletions', to='predictions.eyeimage')),
                ('patient', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='deletions', to='predictions.patient')),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deletions', to='predictions.site')),
            ],
            options={
                'ordering': ['-requested_at'],
                'permissions': [('delete_photo', 'Can ask for the deletion of photos and patients, and restore them'), ('confirm_deletion', 'Can confirm deletions that another person asked for, and purge at once')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='deletion_says_why'), models.CheckConstraint(condition=models.Q(models.Q(('purge_after__isnull', True), ('status__in', ['requested', 'cancelled']), ('trashed_at__isnull', True)), models.Q(('purge_after__isnull', False), ('status__in', ['trashed', 'restored', 'purging', 'purged']), ('trashed_at__isnull', False)), _connector='OR'), name='deletion_status'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('status__in', ['requested', 'trashed', 'purging'])), models.Q(('ended_at__isnull', False), ('status__in', ['cancelled', 'restored', 'purged'])), _connector='OR'), name='ended_deletion_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'patient'), ('patient__isnull', False)), models.Q(('kind__in', ['photos', 'retention']), ('patient__isnull', True)), _connector='OR'), name='deletion_kind')],
            },
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
        migrations.CreateModel(
            name='VisualWord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('word', models.PositiveIntegerField()),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='visual_words', to='predictions.eyeimage')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('word', 'image'), name='one_word_per_photo')],
            },
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('url', models.URLField(max_length=500)),
                ('secret', models.CharField(editable=False, help_text='Signs each message.', max_length=64)),
                ('events', models.JSONField(default=list)),
                ('active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='webhook_endpoints', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('event', models.CharField(choices=[('prediction.finished', 'a prediction is finished'), ('case.resolved', 'clinicians gave a photo its final result'), ('result.amended', 'a final result was amended'), ('photo.corrected', "a photo's eye or patient was corrected, or it was withdrawn"), ('release.promoted', 'another release was promoted')], max_length=32)),
                ('payload', models.JSONField()),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='waiting', max_length=9)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Also the fencing token of the attempt that holds the lease.')),
                ('next_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Not sent before this time; the end of the lease while it is being sent.')),
                ('response_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('error', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='predictions.webhookendpoint')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['status', 'next_at'], name='delivery_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'delivered', 'failed'])), name='webhook_delivery_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'delivered'), _negated=True), ('delivered_at__isnull', False), _connector='OR'), name='delivered_has_a_time')],
            },
        ),
        migrations.CreateModel(
            name='WrongPatientCheck',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('open', 'Open'), ('resolved', 'Resolved')], default='open', max_length=8)),
                ('outcome', models.CharField(blank=True, choices=[('corrected', 'the same patient: corrected'), ('kept', 'different patients: kept')], max_length=9)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.eyeimage')),
                ('resolved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('twin', models.ForeignKey(help_text='The photo stored before.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.eyeimage')),
            ],
            options={
                'ordering': ['created_at', 'pk'],
                'indexes': [models.Index(fields=['status', 'created_at'], name='wrong_patient_open')],
                'constraints': [models.UniqueConstraint(fields=('image', 'twin'), name='one_check_per_pair'), models.CheckConstraint(condition=models.Q(models.Q(('outcome', ''), ('resolved_at__isnull', True), ('resolved_by__isnull', True), ('status', 'open')), models.Q(('outcome__in', ['corrected', 'kept']), ('resolved_at__isnull', False), ('status', 'resolved'), ('resolved_by__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='resolved_check_says_why')],
            },
        ),
        refusing(REFUSED),
        keeping("predictions", KEPT),
        migrations.RunPython(add_index, remove_index),
    ]
