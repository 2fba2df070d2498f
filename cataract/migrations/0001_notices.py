"""Notices for admins."""

import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('run_failed', 'A training run has failed'), ('drift', 'Recent photos or answers have drifted'), ('queue_late', 'Cases have waited longer than agreed'), ('predictions_failed', 'Photos could not be analysed')], max_length=18)),
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
    ]
