"""Causes of flips are added, never overwritten; requests of promotions are decided once."""

import django.db.models.deletion
from django.db import migrations, models

from cataract.core.record import Kept, keeping

KEPT = {
    "FlipCause": Kept(),
    "PromotionRequest": Kept(once=("decided_by_id", "decided_at", "promotion_id")),
}


class Migration(migrations.Migration):
    dependencies = [("training", "0012_policy_checked_at")]
    operations = [
        migrations.RemoveConstraint("FlipCause", "one_cause_per_flip"),
        migrations.AlterModelOptions("FlipCause", {"ordering": ["noted_at", "pk"]}),
        
        migrations.AlterField(
            model_name='flipcause',
            name='comparison',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='causes', to='training.comparison'),
        ),
        keeping("training", KEPT),
    ]
