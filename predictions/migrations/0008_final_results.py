import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("predictions", "0007_fill_sites_patients_devices")]
    operations = [
        migrations.RemoveField(model_name="eyeimage", name="site_name"),
        migrations.RemoveField(model_name="eyeimage", name="device_name"),
        migrations.RemoveField(model_name="eyeimage", name="patient_key"),
        migrations.AlterField(
            model_name='eyeimage',
            name='site',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='images', to='predictions.site'),
        ),
        migrations.AlterField(
            model_name='webhookdelivery',
            name='event',
            field=models.CharField(choices=[('prediction.finished', 'a prediction is finished'), ('case.resolved', 'clinicians gave a photo its final result'), ('result.amended', 'a final result was amended'), ('release.promoted', 'another release was promoted')], max_length=32),
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
    ]
