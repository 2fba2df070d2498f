"""Consent, deletion and lineage, as people do them in a browser."""

from playwright.sync_api import expect

from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.retention.models import Deletion
from predictions.sites.models import Site as Clinic
from tests.browser.conftest import Site
from tests.factories import (
    EyeImageFactory,
    LabelFactory,
    PredictionFactory,
    ReleaseFactory,
    TrainingRunFactory,
    UserFactory,
    jpeg_bytes,
)
from training.datasets.models import Dataset, DatasetItem


def stored_photo(**values: object) -> EyeImage:
    name, digest = storage.store(jpeg_bytes(1), suffix=".jpg")
    return EyeImageFactory.create(
        stored_name=name, stored_sha256=digest, sha256=digest, width=320, height=320, patient_key="P-7", **values
    )


def test_consent_is_asked_in_the_open_and_changed_on_the_result(site: Site) -> None:
    site.expect_complaint("422")
    page = site.log_in("screener")
    page.goto("/upload/")
    expect(page.get_by_label("The models may learn from this photo")).to_be_checked()
    expect(page.get_by_text("Yes unless you untick it.")).to_be_visible()
    site.look(page, "upload-consent")
    prediction = PredictionFactory.create(image=stored_photo(uploaded_by=site.user("screener")))
    page.goto(f"/results/{prediction.pk}/")
    site.look(page, "result-consent")
    page.get_by_role("link", name="Change consent").click()
    page.get_by_role("radio", name="No").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Say why.")).to_be_visible()
    page.get_by_role("radio", name="No").check()
    page.get_by_label("Why?").fill("asked at the desk")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Consent is withdrawn.")).to_be_visible()
    expect(page.get_by_role("cell", name="asked at the desk")).to_be_visible()
    site.look(page, "consent")


def test_a_photo_is_deleted_and_restored_without_javascript(site: Site) -> None:
    Clinic.objects.default()
    photo = stored_photo(uploaded_by=site.user("screener"))
    UserFactory.create(roles=["admin"])
    page = site.log_in("screener")
    page.goto(f"/deletions/new/?photo={photo.pk}")
    site.look(page, "delete")
    page.get_by_label("Why?").fill("the wrong patient")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Trash")
    assert not EyeImage.objects.kept().exists()
    site.look(page, "trash")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("The photos are restored.")).to_be_visible()
    assert EyeImage.objects.kept().exists() and Deletion.objects.get().status == "restored"


def test_what_learned_from_a_photo(site: Site) -> None:
    photo = stored_photo(may_train=False)
    label = LabelFactory.create(image=photo)
    dataset = Dataset.objects.create(fingerprint="d" * 64)
    DatasetItem.objects.create(
        dataset=dataset, image=photo, label=label, answer="cataract", split="train", cluster=photo.cluster_id
    )
    run = TrainingRunFactory.create(
        dataset=dataset, release=ReleaseFactory.create(id="retrained-1"), status="succeeded", mlflow_run_id="f" * 32
    )
    run.started_at = run.created_at
    run.save()
    page = site.log_in("admin")
    page.goto(f"/training/lineage/?photo={photo.pk}")
    expect(page.get_by_role("heading", name="Learned from it: 1 release")).to_be_visible()
    site.look(page, "lineage")
    page.goto(f"/admin/predictions/eyeimage/{photo.pk}/change/")
    page.get_by_role("link", name="What learned from it").wait_for()
    page.goto("/admin/review/retraction/add/")
    site.look(page, "admin-retract")
