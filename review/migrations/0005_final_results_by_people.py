"""Senders of photos that people have answered get that answer as their final result."""

from django.db import migrations
from django.utils import timezone

AGREES = {"cataract": {"cataract"}, "normal": {"normal"}, "ungradable": {"ungradable", "other", "not_an_eye"}}


def fill(apps, schema_editor):
    Label = apps.get_model("review", "Label")
    FinalResult, Prediction = (apps.get_model("predictions", name) for name in ("FinalResult", "Prediction"))
    labels = Label.objects.filter(superseded_at__isnull=True, case__isnull=False).prefetch_related("readings")
    for label in labels.iterator(chunk_size=500):
        roles = [reading.role for reading in label.readings.all()]
        basis = "adjudicated" if "adjudicator" in roles else "double" if len(roles) > 1 else "single"
        details = [reading.detail for reading in label.readings.all() if reading.final_answer == label.answer]
        for prediction in Prediction.objects.filter(image_id=label.image_id).exclude(status="queued"):
            standing = FinalResult.objects.filter(prediction=prediction, superseded_at__isnull=True)
            is_amended = standing.filter(status="final").exclude(answer=label.answer).exists()
            standing.update(superseded_at=timezone.now())
            FinalResult.objects.create(
                prediction=prediction,
                answer=label.answer,
                detail=next((detail for detail in details if detail), ""),
                basis=basis,
                status="amended" if is_amended else "final",
                contradicts_ai=bool(prediction.decision) and label.answer not in AGREES[prediction.decision],
                at=label.created_at,
            )


class Migration(migrations.Migration):
    dependencies = [("review", "0004_plain_english"), ("predictions", "0009_final_results_of_the_ai")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
