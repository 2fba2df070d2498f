"""Sites, patients and devices as rows; the next migration fills them from the text columns."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("predictions", "0005_plain_english"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name='Site',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('letterhead', models.TextField(blank=True, help_text='Name, address and telephone as they stand on letters. Empty: the name.')),
                ('trains_by_default', models.BooleanField(default=True, help_text='Whether the upload form starts with consent to train ticked. The sender can always change it.', verbose_name='consent is ticked at first')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
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
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.AddField(
            model_name='device',
            name='site',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='devices', to='predictions.site'),
        ),
        migrations.CreateModel(
            name='Patient',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(db_index=True, help_text='Pseudonym, never a name.', max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['key'],
            },
        ),
        migrations.AddField(
            model_name='patient',
            name='site',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='patients', to='predictions.site'),
        ),
        migrations.AddConstraint(
            model_name='patient',
            constraint=models.UniqueConstraint(fields=('site', 'key'), name='one_patient_per_key'),
        ),
        migrations.AddConstraint(
            model_name='patient',
            constraint=models.CheckConstraint(condition=models.Q(('key', ''), _negated=True), name='patient_has_a_key'),
        ),
        migrations.AddConstraint(
            model_name='device',
            constraint=models.UniqueConstraint(fields=('site', 'name'), name='one_device_per_name'),
        ),
        migrations.RenameField(model_name='eyeimage', old_name='site', new_name='site_name'),
        migrations.RenameField(model_name='eyeimage', old_name='device', new_name='device_name'),
        migrations.AddField(
            model_name='eyeimage',
            name='site',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.site'),
        ),
        migrations.AddField(
            model_name='eyeimage',
            name='device',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.device'),
        ),
        migrations.AddField(
            model_name='eyeimage',
            name='patient',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.patient'),
        ),
    ]
