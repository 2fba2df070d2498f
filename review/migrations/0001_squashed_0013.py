"""Cases, readings, labels and what was found later.

An installation of before has run the migrations that this one replaces; a new one runs this.
"""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, Refusal, keeping, refusing

MOVES = (
    "first>second first>resolved first>withdrawn second>first second>adjudication second>resolved second>withdrawn "
    "adjudication>second adjudication>resolved adjudication>withdrawn resolved>first resolved>second resolved>adjudication"
).split()
LEGAL = ", ".join(f"'{move}'" for move in MOVES)
FOUND = ("patient_id", "eye", "cataract", "operated", "seen_on")
REFUSED = {
    "case_moves": Refusal(
        "review_reviewcase",
        "no such move of a review case",
        ("status",),
        f"OLD.status <> NEW.status AND (OLD.status || '>' || NEW.status) NOT IN ({LEGAL})",
    ),
    "label_answers": Refusal(
        "review_label",
        "a label is superseded, never changed",
        ("answer", "provenance", "may_train", "image_id"),
        "OLD.answer <> NEW.answer OR OLD.provenance <> NEW.provenance OR OLD.may_train <> NEW.may_train "
        "OR OLD.image_id <> NEW.image_id",
    ),
    "amendment_stays": Refusal("review_amendment", "an amendment is never changed"),
    "outcome_stays": Refusal(
        "review_outcome",
        "an outcome is superseded, never changed",
        when=" OR ".join(f"OLD.{column} <> NEW.{column}" for column in FOUND),
    ),
}
KEPT = {
    # Undoing sets retracted_at; the final answer follows the blind one; an extra reading may become the second,
    # and the second one the first when that is retracted.
    "Reading": Kept(
        once=("retracted_at", "taken_back_by_id", "final_answer", "final_at", "final_seconds"),
        moves=(("role", "extra", "second"), ("role", "second", "first")),
    ),
    "Label": Kept(once=("superseded_at",)),
    "Label_readings": Kept(),
    "Amendment": Kept(),
    "Outcome": Kept(once=("superseded_at",)),
    "ShownFirst": Kept(),
    "Retraction": Kept(),
}


class Migration(migrations.Migration):

    replaces = [
        ('review', '0001_initial'),
        ('review', '0002_choices_of_readings'),
        ('review', '0003_promises_kept_by_the_database'),
        ('review', '0004_plain_english'),
        ('review', '0005_final_results_by_people'),
        ('review', '0006_amendments'),
        ('review', '0007_outcomes'),
        ('review', '0008_look_backs'),
        ('review', '0009_retraction'),
        ('review', '0010_acceptance_evidence'),
        ('review', '0011_indexes_for_long_lists'),
        ('review', '0012_credential_of_readings'),
        ('review', '0013_the_record_is_kept'),
    ]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('predictions', '0001_squashed_0022'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReviewerSettings',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='reviewer_settings', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('keys', models.JSONField(blank=True, default=dict, help_text='Action to key, for changed actions only.')),
            ],
        ),
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
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'done', 'failed', 'cancelled'])), name='look_back_status'), models.CheckConstraint(condition=models.Q(('status', 'waiting'), ('finished_at__isnull', False), _connector='OR'), name='ended_look_back_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), _negated=True), models.Q(('error', ''), _negated=True), _connector='OR'), name='failed_look_back_has_error'), models.UniqueConstraint(condition=models.Q(('status', 'waiting')), fields=('release', 'by_release', 'since', 'until'), name='one_waiting_look_back')],
            },
        ),
        migrations.CreateModel(
            name='Outcome',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('eye', models.CharField(choices=[('OD', 'right eye (OD)'), ('OS', 'left eye (OS)')], max_length=2)),
                ('cataract', models.BooleanField()),
                ('operated', models.BooleanField(default=False)),
                ('seen_on', models.DateField(help_text='Day of the examination, or of the operation.')),
                ('source', models.CharField(choices=[('examination', 'examination by an eye doctor'), ('letter', 'letter from an eye doctor'), ('operation', 'operation report'), ('system', 'another system')], default='examination', max_length=11)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('superseded_at', models.DateTimeField(blank=True, null=True)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='predictions.patient')),
                ('recorded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('supersedes', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='superseded_by', to='review.outcome')),
            ],
            options={
                'ordering': ['-created_at', 'pk'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True)), fields=('patient', 'eye', 'seen_on'), name='one_standing_outcome_per_eye_and_day'), models.CheckConstraint(condition=models.Q(('eye__in', ['OD', 'OS'])), name='outcome_eye')],
            },
        ),
        migrations.CreateModel(
            name='Progress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('by_device', models.BooleanField()),
                ('side', models.CharField(choices=[('cataract', '“cataract”'), ('normal', '“no sign of cataract”')], max_length=8)),
                ('photos', models.PositiveIntegerField(help_text='Photos that were read and count, one for each patient.')),
                ('waiting', models.PositiveIntegerField(help_text='Photos that wait for readers and will count.')),
                ('n', models.PositiveIntegerField(help_text='Eyes with a cataract, or automatic “cataract” answers, among them.')),
                ('errors', models.PositiveIntegerField()),
                ('bound', models.FloatField(help_text='The largest share of errors that these photos do not refute.')),
                ('limit', models.FloatField()),
                ('confidence', models.FloatField()),
                ('missing', models.PositiveIntegerField(help_text='How many more without an error are needed; empty where that is out of reach.', null=True)),
                ('since', models.DateTimeField(help_text='Photos that arrived before do not count any more.', null=True)),
                ('counted_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('to_score', models.PositiveIntegerField(default=0, help_text='Labelled photos that the release has yet to score.')),
                ('device', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.device')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release')),
                ('site', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.site')),
            ],
            options={
                'ordering': ['site__name', 'device__name', 'side'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('site', 'device', 'side', 'release'), name='one_progress_per_device'), models.UniqueConstraint(condition=models.Q(('device__isnull', True)), fields=('site', 'side', 'release'), name='one_progress_per_site')],
            },
        ),
        migrations.CreateModel(
            name='Rescore',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answer', models.CharField(blank=True, choices=[('cataract', '“cataract”'), ('normal', '“no sign of cataract”')], max_length=8)),
                ('error', models.TextField(blank=True, help_text='Why it could not be scored; then the photo is left out.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.eyeimage')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.release')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['created_at'], name='rescore_by_time')],
                'constraints': [models.UniqueConstraint(fields=('release', 'image'), name='one_rescore_per_photo'), models.CheckConstraint(condition=models.Q(('answer__in', ['', 'cataract', 'normal'])), name='rescore_answer'), models.CheckConstraint(condition=models.Q(('error', ''), ('answer', ''), _connector='OR'), name='rescore_answer_or_error')],
            },
        ),
        migrations.CreateModel(
            name='ReviewCase',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('case', 'a prediction to look at'), ('control', 'hidden: a photo whose answer is known'), ('repeat', 'hidden: a photo that the same reader read before, mirrored')], default='case', max_length=7)),
                ('status', models.CharField(choices=[('first', 'waiting for the first reading'), ('second', 'waiting for a second reader'), ('adjudication', 'waiting for an adjudicator'), ('resolved', 'resolved'), ('withdrawn', 'withdrawn')], default='first', max_length=12)),
                ('reasons', models.JSONField(default=list, help_text='Why the case was chosen; hidden until the blind answer is stored.')),
                ('review_propensity', models.FloatField(help_text='Probability with which the case was chosen.')),
                ('policy_version', models.CharField(max_length=32)),
                ('priority', models.PositiveSmallIntegerField(default=50, help_text='Lower is sooner.')),
                ('shuffle', models.PositiveIntegerField(default=0, help_text='Order inside a priority band: a hash, so never a score.')),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('known_answer', models.CharField(blank=True, choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('mirrored', models.BooleanField(default=False, help_text='Shown mirrored, as the other eye.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('assigned_to', models.ForeignKey(blank=True, help_text='Chosen by an admin for the next reading; others get the case only after it has waited too long.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('claimed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='review_cases', to='predictions.eyeimage')),
                ('only_for', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('prediction', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='review_case', to='predictions.prediction')),
            ],
            options={
                'ordering': ['priority', 'created_at'],
                'permissions': [('read_reviewcase', 'Can claim and answer review cases'), ('adjudicate_reviewcase', 'Can adjudicate where two readers differ'), ('assign_reviewcase', 'Can assign cases to readers and change their priority')],
                'indexes': [models.Index(fields=['status', 'priority', 'shuffle'], name='case_queue'), models.Index(fields=['-created_at', 'id'], name='case_newest'), models.Index(condition=models.Q(('lease_until__isnull', False)), fields=['lease_until'], name='case_leased')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['first', 'second', 'adjudication', 'resolved', 'withdrawn'])), name='case_status'), models.CheckConstraint(condition=models.Q(('review_propensity__gt', 0), ('review_propensity__lte', 1)), name='case_propensity'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'resolved'), _negated=True), ('resolved_at__isnull', False), _connector='OR'), name='resolved_case_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('claimed_by__isnull', True), ('lease_until__isnull', True)), models.Q(('claimed_by__isnull', False), ('lease_until__isnull', False)), _connector='OR'), name='claim_has_lease'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'case'), ('known_answer', ''), ('only_for__isnull', True), ('prediction__isnull', False)), models.Q(('kind__in', ['control', 'repeat']), ('only_for__isnull', False), ('prediction__isnull', True), models.Q(('known_answer', ''), _negated=True)), _connector='OR'), name='case_kind')],
            },
        ),
        migrations.CreateModel(
            name='Amendment',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('amended', 'amended'), ('reopened', 'reopened')], max_length=8)),
                ('reason', models.TextField(help_text='For the record and for the sender of the photo.')),
                ('answer_before', models.CharField(blank=True, choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('answer', models.CharField(blank=True, choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], help_text='Empty where it was reopened.', max_length=10)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='amendments', to='review.reviewcase')),
            ],
            options={
                'ordering': ['-at'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('answer__in', ['cataract', 'normal', 'ungradable', 'other', 'not_an_eye']), ('kind', 'amended')), models.Q(('answer', ''), ('kind', 'reopened')), _connector='OR'), name='amendment_answer'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='amendment_has_reason')],
            },
        ),
        migrations.CreateModel(
            name='Reading',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('first', 'first reader'), ('second', 'second reader'), ('adjudicator', 'adjudicator'), ('extra', 'additional opinion')], max_length=11)),
                ('blind_answer', models.CharField(choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('blind_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('blind_seconds', models.FloatField(blank=True, help_text='Seconds from showing the photo to the blind answer.', null=True)),
                ('ai_shown_at', models.DateTimeField(blank=True, null=True)),
                ('ai_shown_first', models.BooleanField(default=False, help_text='Shown on purpose before the answer; never trains.')),
                ('final_answer', models.CharField(blank=True, choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('final_at', models.DateTimeField(blank=True, null=True)),
                ('final_seconds', models.FloatField(blank=True, help_text="Seconds from showing the AI's answer to the final answer.", null=True)),
                ('grade', models.CharField(blank=True, choices=[('immature', 'Immature'), ('mature', 'Mature')], help_text='For cataract.', max_length=16)),
                ('detail', models.CharField(blank=True, choices=[('blur', 'Blurred'), ('dark', 'Too dark'), ('glare', 'Glare or flash on the pupil'), ('lid', 'Lid or lashes cover the pupil'), ('view', 'Wrong view'), ('pterygium', 'Pterygium'), ('corneal_opacity', 'Corneal opacity'), ('implant', 'Artificial lens'), ('inflammation', 'Red or inflamed eye'), ('other', 'Something else')], help_text='Why it cannot be judged, or which other pathology.', max_length=64)),
                ('unsure', models.BooleanField(default=False)),
                ('note', models.TextField(blank=True)),
                ('viewer', models.JSONField(blank=True, default=dict, help_text='Zoom and filters in use at the answer.')),
                ('retracted_at', models.DateTimeField(blank=True, null=True)),
                ('reader', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='readings', to='review.reviewcase')),
                ('taken_back_by', models.ForeignKey(blank=True, help_text='The amendment that retracted it; its reader does not read the case again.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='taken_back', to='review.amendment')),
                ('key', models.ForeignKey(blank=True, help_text='The API key of the answer.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='predictions.apitoken')),
                ('session', models.CharField(blank=True, help_text='The mark of the session of the answer, as at its sign-in.', max_length=32, null=True)),
            ],
            options={
                'ordering': ['blind_at'],
                'indexes': [models.Index(fields=['reader', '-blind_at'], name='reading_of_reader'), models.Index(fields=['blind_at'], name='reading_by_time'), models.Index(condition=models.Q(('final_answer', ''), ('retracted_at__isnull', True)), fields=['case'], name='reading_pending')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('retracted_at__isnull', True), models.Q(('role', 'extra'), _negated=True)), fields=('case', 'role'), name='one_standing_reading_per_role'), models.UniqueConstraint(condition=models.Q(('retracted_at__isnull', True)), fields=('case', 'reader'), name='one_standing_reading_per_reader'), models.CheckConstraint(condition=models.Q(('blind_answer__in', ['cataract', 'normal', 'ungradable', 'other', 'not_an_eye'])), name='reading_blind_answer'), models.CheckConstraint(condition=models.Q(models.Q(('final_answer', ''), ('final_at__isnull', True)), models.Q(('final_answer__in', ['cataract', 'normal', 'ungradable', 'other', 'not_an_eye']), ('final_at__isnull', False)), _connector='OR'), name='final_answer_has_time'), models.CheckConstraint(condition=models.Q(('ai_shown_first', True), ('ai_shown_at__isnull', True), ('ai_shown_at__gte', models.F('blind_at')), _connector='OR'), name='ai_shown_after_blind_answer')],
            },
        ),
        migrations.CreateModel(
            name='Label',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('answer', models.CharField(choices=[('cataract', 'Cataract'), ('normal', 'No cataract'), ('ungradable', 'Cannot judge'), ('other', 'Other pathology'), ('not_an_eye', 'Not an eye')], max_length=10)),
                ('provenance', models.CharField(choices=[('blind', 'blind reading'), ('adjudicated', 'adjudicated'), ('after_ai', 'answered after the AI was shown'), ('imported', 'imported'), ('outcome', 'later outcome')], max_length=11)),
                ('may_train', models.BooleanField(help_text='False for answers given after the AI was shown.')),
                ('weight', models.FloatField(default=1.0, help_text='Inverse of the probability with which the case was chosen.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('superseded_at', models.DateTimeField(blank=True, help_text='Set, in the same transaction, before its successor is stored.', null=True)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='predictions.eyeimage')),
                ('supersedes', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='superseded_by', to='review.label')),
                ('readings', models.ManyToManyField(blank=True, related_name='labels', to='review.reading')),
                ('case', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='review.reviewcase')),
                ('outcome', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='review.outcome')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['-created_at', '-id'], name='label_newest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('answer__in', ['cataract', 'normal', 'ungradable', 'other', 'not_an_eye'])), name='label_answer'), models.CheckConstraint(condition=models.Q(models.Q(('provenance', 'after_ai'), _negated=True), ('may_train', False), _connector='OR'), name='answers_after_ai_never_train'), models.UniqueConstraint(condition=models.Q(('superseded_at__isnull', True), models.Q(('provenance', 'outcome'), _negated=True)), fields=('image',), name='one_standing_label'), models.UniqueConstraint(condition=models.Q(('provenance', 'outcome'), ('superseded_at__isnull', True)), fields=('image',), name='one_standing_outcome_label')],
            },
        ),
        migrations.CreateModel(
            name='Retraction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('labels', models.ManyToManyField(blank=True, related_name='retractions', to='review.label')),
                ('reader', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='retractions', to=settings.AUTH_USER_MODEL)),
                ('readings', models.ManyToManyField(blank=True, related_name='retractions', to='review.reading')),
            ],
            options={
                'ordering': ['-at'],
                'permissions': [('retract_labels', 'Can retract the labels of a reader')],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='retraction_says_why')],
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
                ('look_back', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='answers', to='review.lookback')),
                ('prediction', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='predictions.prediction')),
                ('case', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='review.reviewcase')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('look_back', 'prediction'), name='one_look_back_answer_per_prediction'), models.CheckConstraint(condition=models.Q(models.Q(('decision__in', ['cataract', 'normal', 'ungradable']), ('error', '')), models.Q(('decision', ''), models.Q(('error', ''), _negated=True)), _connector='OR'), name='look_back_answer_or_error')],
            },
        ),
        migrations.CreateModel(
            name='ShownFirst',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shown_first', to='review.reviewcase')),
                ('reader', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('case', 'reader'), name='shown_first_once_per_reader')],
            },
        ),
        migrations.CreateModel(
            name='Skip',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='skips', to='review.reviewcase')),
                ('reader', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-at'],
            },
        ),
        refusing(REFUSED),
        keeping("review", KEPT),
    ]
