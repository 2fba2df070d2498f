"""Each site, patient and device that photos named as text becomes a row. Photos without a site belong to the first one."""

from django.db import migrations
from django.db.models import OuterRef, Subquery

FIRST_NAME = "Main site"


def fill(apps, schema_editor):
    EyeImage, Site, Device, Patient = (
        apps.get_model("predictions", name) for name in ("EyeImage", "Site", "Device", "Patient")
    )
    if not EyeImage.objects.exists():
        return
    photos = EyeImage.objects.order_by()
    if photos.filter(site_name="").exists():
        Site.objects.get_or_create(name=FIRST_NAME)
    for name in photos.exclude(site_name="").values_list("site_name", flat=True).distinct():
        Site.objects.get_or_create(name=name)
    for site in Site.objects.all():
        photos.filter(site_name="" if site.name == FIRST_NAME else site.name).update(site=site)
        photos.filter(site_name=site.name).update(site=site)
    devices = photos.exclude(device_name="").values_list("site", "device_name").distinct()
    Device.objects.bulk_create([Device(site_id=site, name=name) for site, name in devices])
    device = Device.objects.filter(site=OuterRef("site"), name=OuterRef("device_name")).values("pk")[:1]
    photos.exclude(device_name="").update(device=Subquery(device))
    patients = photos.exclude(patient_key="").values_list("site", "patient_key").distinct()
    Patient.objects.bulk_create([Patient(site_id=site, key=key) for site, key in patients], batch_size=1000)
    patient = Patient.objects.filter(site=OuterRef("site"), key=OuterRef("patient_key")).values("pk")[:1]
    photos.exclude(patient_key="").update(patient=Subquery(patient))


def back(apps, schema_editor):
    EyeImage, Site, Device, Patient = (
        apps.get_model("predictions", name) for name in ("EyeImage", "Site", "Device", "Patient")
    )
    for column, model, key in (("site", Site, "name"), ("device", Device, "name"), ("patient", Patient, "key")):
        text = "patient_key" if column == "patient" else f"{column}_name"
        value = model.objects.filter(pk=OuterRef(f"{column}_id")).values(key)[:1]
        EyeImage.objects.filter(**{f"{column}__isnull": False}).update(**{text: Subquery(value)})
    EyeImage.objects.update(site=None, device=None, patient=None)


class Migration(migrations.Migration):
    dependencies = [("predictions", "0006_sites_patients_devices")]
    operations = [migrations.RunPython(fill, back)]
