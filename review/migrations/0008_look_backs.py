"""Look-backs: photos that a release decided alone, scored again by another."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('predictions', '0009_final_results_of_the_ai'),
        ('review', '0007_outcomes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LookBack',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('since', models.DateField()),
                ('until', models.DateField(help_text='The last day, itself included.')),
                ('status', models.CharField(choices=[('waiting', 'running'), ('done', 'done'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='waiting', max_length=9)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0, help_text='Also the fencing token of the attempt that holds the lease.')),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('total', models.PositiveIntegerField(default=0, help_text='Photos to score when it was started.')),
                ('error', models.TextField(blank=True)),
                ('by_release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.release')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.release')),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='LookBackAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('decision', models.CharField(blank=True, choices=[('cataract', 'Probably cataract'), ('normal', 'No sign of cataract in this photo'), ('ungradable', 'Cannot judge')], max_length=10)),
                ('probability', models.FloatField(blank=True, null=True)),
                ('error', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('case', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='review.reviewcase')),
                ('look_back', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='answers', to='review.lookback')),
                ('prediction', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.prediction')),
            ],
        ),
        migrations.AddConstraint(
            model_name='lookback',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'done', 'failed', 'cancelled'])), name='look_back_status'),
        ),
        migrations.AddConstraint(
            model_name='lookback',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'waiting'), ('finished_at__isnull', False), _connector='OR'), name='ended_look_back_has_time'),
        ),
        migrations.AddConstraint(
            model_name='lookback',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), _negated=True), models.Q(('error', ''), _negated=True), _connector='OR'), name='failed_look_back_has_error'),
        ),
        migrations.AddConstraint(
            model_name='lookback',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'waiting')), fields=('release', 'by_release', 'since', 'until'), name='one_waiting_look_back'),
        ),
        migrations.AddConstraint(
            model_name='lookbackanswer',
            constraint=models.UniqueConstraint(fields=('look_back', 'prediction'), name='one_look_back_answer_per_prediction'),
        ),
        migrations.AddConstraint(
            model_name='lookbackanswer',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decision__in', ['cataract', 'normal', 'ungradable']), ('error', '')), models.Q(('decision', ''), models.Q(('error', ''), _negated=True)), _connector='OR'), name='look_back_answer_or_error'),
        ),
    ]
