"""What was answered, told, shown and decided about photos can neither be changed nor deleted."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from cataract.core.record import Kept, keeping

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


class Migration(migrations.Migration):
    dependencies = [("predictions", "0021_near_duplicate_index"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.AlterField(
            model_name='disclosure',
            name='image',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='disclosures', to='predictions.eyeimage'),
        ),
        migrations.AlterField(
            model_name='disclosure',
            name='prediction',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='disclosures', to='predictions.prediction'),
        ),
        migrations.AlterField(
            model_name='disclosure',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        keeping("predictions", KEPT),
    ]
