"""Runs, datasets, comparisons and promotions.

An installation of before has run the migrations that this one replaces; a new one runs this.
"""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, keeping

KEPT = {
    "FlipCause": Kept(),
    "PromotionRequest": Kept(once=("decided_by_id", "decided_at", "promotion_id")),
}


class Migration(migrations.Migration):

    replaces = [
        ('training', '0001_initial'),
        ('training', '0002_live_test_review'),
        ('training', '0003_policy'),
        ('training', '0004_label_check'),
        ('training', '0005_promotion_request'),
        ('training', '0006_one_run_a_model'),
        ('training', '0007_plain_english'),
        ('training', '0008_datasets_name_their_source'),
        ('training', '0009_policy_on_drift'),
        ('training', '0010_mlflow_versions'),
        ('training', '0011_photos_left_out_in_mlflow'),
        ('training', '0012_policy_checked_at'),
        ('training', '0013_the_record_is_kept'),
    ]

    initial = True

    dependencies = [
        ('auth', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('predictions', '0001_squashed_0022'),
        ('review', '0001_squashed_0013'),
    ]

    operations = [
        migrations.CreateModel(
            name='RegisteredVersion',
            fields=[
                ('release', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='mlflow_version', serialize=False, to='predictions.release')),
                ('version', models.CharField(max_length=16)),
                ('mlflow_run_id', models.CharField(max_length=64)),
                ('mlflow_experiment_id', models.CharField(blank=True, max_length=64)),
            ],
            options={
                'ordering': ['release'],
            },
        ),
        migrations.CreateModel(
            name='LiveTestReview',
            fields=[
            ],
            options={
                'verbose_name': 'live test',
                'verbose_name_plural': 'live tests: shadow and A/B',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('predictions.livetest',),
        ),
        migrations.CreateModel(
            name='ReleaseReview',
            fields=[
            ],
            options={
                'verbose_name': 'release',
                'verbose_name_plural': 'releases',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('predictions.release',),
        ),
        migrations.CreateModel(
            name='Dataset',
            fields=[
                ('fingerprint', models.CharField(help_text='sha256 over its rows.', max_length=64, primary_key=True, serialize=False)),
                ('counts', models.JSONField(default=dict, help_text='Rows by split and class.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('always_read', models.JSONField(blank=True, default=list, help_text='The splits whose rows are all of patients that are always read.')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Comparison',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verdict', models.CharField(choices=[('pass', 'passes every gate'), ('fail', 'fails a gate'), ('too_few', 'too few photos to judge')], max_length=8)),
                ('report', models.JSONField(help_text='Gates, paired differences with intervals, subgroups, flips.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('challenger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comparisons', to='predictions.release')),
                ('champion', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release')),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='comparisons', to='training.dataset')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(fields=('challenger', 'champion', 'dataset'), name='one_comparison_per_pair_and_data')],
            },
        ),
        migrations.CreateModel(
            name='DatasetItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answer', models.CharField(max_length=10)),
                ('split', models.CharField(choices=[('train', 'training'), ('calibration', 'calibration'), ('test', 'test'), ('excluded', 'left out: its cluster merged with one of another split')], max_length=11)),
                ('cluster', models.PositiveBigIntegerField(help_text='The cluster when the dataset was frozen.')),
                ('weight', models.FloatField(default=1.0)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='training.dataset')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.eyeimage')),
                ('label', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='review.label')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('dataset', 'image'), name='one_item_per_image'), models.CheckConstraint(condition=models.Q(('split', 'excluded'), _negated=True), name='excluded_images_are_in_no_dataset')],
            },
        ),
        migrations.CreateModel(
            name='FlipCause',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cause', models.CharField(choices=[('label', 'the label is wrong'), ('photo', 'the photo is too poor to judge'), ('rare', 'a rare finding, looked at and accepted'), ('model', 'an error of the challenger, accepted')], max_length=5)),
                ('noted_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='causes', to='training.comparison')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.eyeimage')),
                ('noted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['noted_at', 'pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('cause__in', ['label', 'photo', 'rare', 'model'])), name='flip_cause')],
            },
        ),
        migrations.CreateModel(
            name='LabelCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='queued', max_length=7)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('photos', models.PositiveIntegerField(default=0, help_text='Number of labels checked.')),
                ('suspects', models.JSONField(default=list, help_text='[label id, probability of the label], most doubtful first.')),
                ('error', models.TextField(blank=True)),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'done', 'failed'])), name='check_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'done'), _negated=True), ('finished_at__isnull', False), _connector='OR'), name='done_check_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), _negated=True), models.Q(('error', ''), _negated=True), _connector='OR'), name='failed_check_has_error'), models.UniqueConstraint(models.Value(1), condition=models.Q(('status__in', ['queued', 'running'])), name='one_active_check')],
            },
        ),
        migrations.CreateModel(
            name='PromotionRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('acknowledge_too_few', models.BooleanField(default=False)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('promotion', models.OneToOneField(blank=True, help_text='Set once confirmed.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='request', to='predictions.promotion')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='promotion_requests', to='predictions.release')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-requested_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('decided_at__isnull', True)), fields=('release',), name='one_open_request_per_release'), models.CheckConstraint(condition=models.Q(('promotion__isnull', True), models.Q(('requested_by', models.F('decided_by')), _negated=True), _connector='OR'), name='confirmed_by_another_person'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True)), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='decision_has_person_and_time')],
            },
        ),
        migrations.CreateModel(
            name='TrainingPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('is_on', models.BooleanField(default=False, verbose_name='on')),
                ('kind', models.CharField(choices=[('fast', 'fast model'), ('accurate', 'accurate model'), ('both', 'both models')], default='both', max_length=8, verbose_name='what to train')),
                ('new_labels', models.PositiveIntegerField(blank=True, help_text='Start when this many labels are new since the last dataset.', null=True)),
                ('max_override_rate', models.FloatField(blank=True, help_text='Start when readers overrule the AI in more than this share of answers (30 days, lower 95 % limit).', null=True)),
                ('every_days', models.PositiveIntegerField(blank=True, help_text='Start when the last run is this many days old.', null=True)),
                ('on_drift', models.BooleanField(default=False, help_text='Start once for each confirmed drift, when 30 of the photos that have drifted have new labels.', verbose_name='on confirmed drift')),
                ('checked_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'verbose_name': 'training policy',
                'verbose_name_plural': 'training policy',
                'constraints': [models.CheckConstraint(condition=models.Q(('pk', 1)), name='one_training_policy')],
            },
        ),
        migrations.CreateModel(
            name='TrainingRun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('fast', 'fast model'), ('accurate', 'accurate model'), ('both', 'both models')], default='both', max_length=8)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('cancelled', 'Cancelled'), ('interrupted', 'Interrupted')], default='queued', max_length=11)),
                ('parameters', models.JSONField(blank=True, default=dict)),
                ('seed', models.PositiveIntegerField(default=0)),
                ('reason', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Also the fencing token of the attempt that holds the lease.')),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('stage', models.CharField(blank=True, max_length=64)),
                ('percent', models.PositiveSmallIntegerField(default=0)),
                ('eta_seconds', models.FloatField(blank=True, null=True)),
                ('cancel_requested', models.BooleanField(default=False)),
                ('mlflow_run_id', models.CharField(blank=True, max_length=64)),
                ('mlflow_experiment_id', models.CharField(blank=True, max_length=64)),
                ('log', models.TextField(blank=True, help_text="The last lines of the run's log.")),
                ('error', models.TextField(blank=True)),
                ('is_alone', models.BooleanField(default=True, help_text='No other exclusive run trains the same model (TRAINING_PARALLEL when the run was queued).')),
                ('photos_left_out', models.PositiveIntegerField(default=0, help_text="Photos of the dataset that may not train any more and that MLflow's list leaves out.")),
                ('base_release', models.ForeignKey(help_text='The release whose encoder the run starts from.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.release')),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='training.dataset')),
                ('release', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='training_runs', to='predictions.release')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted'])), name='run_status'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'succeeded'), _negated=True), ('release__isnull', False), _connector='OR'), name='success_has_release'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), _negated=True), models.Q(('error', ''), _negated=True), _connector='OR'), name='failure_has_error'), models.UniqueConstraint(models.Value(1), condition=models.Q(('is_alone', True), ('kind__in', ['fast', 'both']), ('status__in', ['queued', 'running'])), name='one_active_run_of_the_fast_model'), models.UniqueConstraint(models.Value(1), condition=models.Q(('is_alone', True), ('kind__in', ['accurate', 'both']), ('status__in', ['queued', 'running'])), name='one_active_run_of_the_accurate_model')],
            },
        ),
        migrations.CreateModel(
            name='TriggerFiring',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('trigger', models.CharField(choices=[('new_labels', 'new labels'), ('drift', 'drift'), ('overrides', 'overruled answers'), ('schedule', 'schedule')], max_length=10)),
                ('reason', models.TextField()),
                ('fingerprint', models.CharField(help_text='Fingerprint of the labels at that time.', max_length=64, unique=True)),
                ('error', models.TextField(blank=True, help_text='Why no run could start.')),
                ('fired_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('run', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='firing', to='training.trainingrun')),
            ],
            options={
                'ordering': ['-fired_at'],
            },
        ),
        keeping("training", KEPT),
    ]
