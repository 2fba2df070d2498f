"""The pace of readings, drafts, and what readers ask; the triggers of readings are made anew for the new columns."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, keeping

READING = Kept(
    # As in 0013; and the AI's answer may be shown after the blind one is stored.
    once=("retracted_at", "taken_back_by_id", "final_answer", "final_at", "final_seconds", "ai_shown_at"),
    moves=(("role", "extra", "second"), ("role", "second", "first")),
)


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0014_training_and_feedback_of_readers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='reading',
            name='confidence',
            field=models.CharField(blank=True, choices=[('sure', 'Sure'), ('fairly', 'Fairly sure'), ('unsure', 'Unsure')], max_length=6, null=True),
        ),
        migrations.AddField(
            model_name='reading',
            name='pace',
            field=models.CharField(blank=True, choices=[('quick', 'a quick look'), ('too_fast', 'too fast to have looked; never trains')], max_length=8, null=True),
        ),
        migrations.AddField(
            model_name='reading',
            name='server_seconds',
            field=models.FloatField(blank=True, help_text="Seconds from first showing the case to the answer, by the server's clock.", null=True),
        ),
        migrations.AddField(
            model_name='reviewcase',
            name='escalated_at',
            field=models.DateTimeField(blank=True, help_text='A reader asked for a senior: only adjudicators get the case.', null=True),
        ),
        migrations.AddField(
            model_name='reviewersettings',
            name='view',
            field=models.JSONField(blank=True, help_text='Filters that each case starts with; none if empty.', null=True),
        ),
        migrations.CreateModel(
            name='Concern',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('colleague', 'a colleague was asked'), ('senior', 'escalated to a senior'), ('flag', 'flagged')], max_length=9)),
                ('reason', models.CharField(help_text='Shown to overseers, never to who reads the case next.', max_length=500)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('asked', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='concerns', to='review.reviewcase')),
            ],
            options={
                'ordering': ['-at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='concern_has_reason'), models.CheckConstraint(condition=models.Q(models.Q(('asked__isnull', False), ('kind', 'colleague')), models.Q(('asked__isnull', True), ('kind__in', ['senior', 'flag'])), _connector='OR'), name='concern_asks_a_colleague')],
            },
        ),
        migrations.CreateModel(
            name='Draft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('shown_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('content', models.JSONField(blank=True, default=dict, help_text='Fields of the form that are not sent yet.')),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='drafts', to='review.reviewcase')),
                ('reader', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('case', 'reader'), name='one_draft_per_reader')],
            },
        ),
        keeping("review", {"Reading": READING}),
    ]
