"""Readings, labels and what rests on them can neither be changed nor deleted."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, keeping

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
    dependencies = [("review", "0012_credential_of_readings"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.AlterField(
            model_name='shownfirst',
            name='case',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shown_first', to='review.reviewcase'),
        ),
        migrations.AlterField(
            model_name='shownfirst',
            name='reader',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        keeping("review", KEPT),
    ]
