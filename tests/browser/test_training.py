"""The training pages of the admin: start, watch, compare, promote, roll back."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from predictions.answering import services as answering_services
from predictions.photos.facts import PhotoFacts
from predictions.releases import store
from predictions.releases.models import LiveTest, Promotion, Release
from predictions.shadow import worker as shadow_worker
from tests.browser.conftest import Site, drawn_eye
from tests.releases import make_tiny_release
from tests.training.makers import capture_published, label_photos
from training.change_control.rules import rules
from training.comparison import worker
from training.comparison.models import FlipCause
from training.datasets.services import freeze_dataset
from training.imports import tasks as import_tasks
from training.imports import worker as import_worker
from training.imports.models import PhotoImport
from training.label_checks.models import LabelCheck
from training.runs.models import TrainingRun


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setitem(rules()["latency"], "slack_ms", 10_000.0)  # the browser keeps these cores busy
    return capture_published(monkeypatch)


LOG = """10:02:11 reading: 412 labelled photos, starting from starter-c98a61b2
10:02:58 fast: searching the fast model's parameters, 20 trials
10:03:04 trial 1: log loss 0.214, roc auc 0.962, accuracy 0.918
10:03:09 trial 2: pruned after fold 1 (log loss 0.231)
10:04:40 accurate: fine-tuning the accurate model
10:05:31 epoch 1 of fit 1 of 4: train loss 0.402, validation loss 0.288
"""


def test_start_a_run_and_watch_it(
    site: Site, champion: Release, published: list[tuple[str, str]], keep: Callable[[Page, str], None]
) -> None:
    label_photos()
    page = site.log_in("admin")
    page.goto("/admin/training/trainingrun/add/")
    site.look(page, "training-start")
    page.get_by_text("Budget and teaching").click()
    page.get_by_label("Trials of the search").fill("12")
    page.get_by_label("Distillation: teach the fast model").check()
    page.get_by_label("Why").fill("New labels of this week.")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Training run")
    run = TrainingRun.objects.get()
    assert published == [("run_training", str(run.pk))]
    assert run.parameters["trials"] == 12 and run.parameters["distillation"] == {"weight": 0.3, "floor": 0.9}
    site.look(page, "training-queued")
    rows = TrainingRun.objects.filter(pk=run.pk)
    now = timezone.now()
    rows.move("running", attempts=1, started_at=now, heartbeat_at=now, percent=47, eta_seconds=260, log=LOG)
    rows.update(stage="accurate: epoch 1 of fit 1 of 4")
    expect(page.locator("#run")).to_contain_text("47 %")  # the page refreshes itself
    site.look(page, "training-running")
    keep(page, "training-run")
    rows.move("failed", finished_at=timezone.now(), error="The disk is full. Free 2 GB, then start again.")
    expect(page.get_by_role("alert")).to_contain_text("The disk is full")
    site.look(page, "training-failed")
    page.goto("/admin/training/trainingrun/")
    site.look(page, "training-runs")


def test_labels_in_doubt_are_shown_and_sent(site: Site, champion: Release, keep: Callable[[Page, str], None]) -> None:
    labels = label_photos()
    page = site.log_in("admin")
    page.goto("/admin/training/trainingrun/add/")
    page.get_by_role("button", name="Look for wrong labels").click()
    expect(page.locator("#labels")).to_contain_text("A worker is checking the labels")
    doubts = [[str(label.pk), 0.01 * n] for n, label in enumerate(labels[:3], start=1)]
    checks = LabelCheck.objects.all()
    checks.move("running")
    checks.move("done", finished_at=timezone.now(), photos=26, suspects=doubts)
    expect(page.locator("#labels")).to_contain_text("3 of 26 labels were in doubt")  # the page refreshes itself
    page.wait_for_load_state("networkidle")
    site.look(page, "training-labels")
    keep(page, "training-labels")
    page.get_by_role("button", name="Send these photos to readers").click()
    expect(page.get_by_text("3 photos wait for blind readers now")).to_be_visible()


def test_without_labels_the_page_says_what_is_missing(site: Site, champion: Release) -> None:
    page = site.log_in("admin")
    page.goto("/admin/training/trainingrun/add/")
    expect(page.get_by_role("status")).to_contain_text("A run cannot start yet")
    site.look(page, "training-start-empty")


def compared(folder: Path, **make: Any) -> Release:
    """A challenger, compared with the champion on eight synthetic eyes."""
    label_photos(test=4)
    freeze_dataset(user=None)
    challenger = store.register_release(folder=make_tiny_release(folder, name="challenger", **make))
    worker.compare_with_champion(challenger.pk)
    return challenger


def test_a_worse_release_cannot_be_promoted(
    site: Site,
    champion: Release,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: Callable[[Page, str], None],
) -> None:
    monkeypatch.setitem(rules()["latency"], "slack_ms", 10.0)  # refused either way: show the plan as it is
    for least in ("min_positive_clusters", "min_negative_clusters"):
        monkeypatch.setitem(rules()["comparison"], least, 2)
    challenger = compared(tmp_path / "made", seed=3, refuse_all=True)
    page = site.log_in("admin")
    page.goto(f"/admin/training/releasereview/{challenger.pk}/change/")
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("alert")).to_contain_text("The change-control plan refuses this release")
    expect(page.get_by_role("button", name="Promote")).to_have_count(0)
    site.look(page, "training-compare-worse")
    keep(page, "compare")
    page.get_by_role("heading", name="Photos whose decision changes").scroll_into_view_if_needed()
    for picture in page.locator(".models-photos img").all():
        picture.scroll_into_view_if_needed()  # they load when they are near
    page.wait_for_load_state("networkidle")
    page.locator("#flips").evaluate("element => element.scrollIntoView()")
    keep(page, "flips")
    page.get_by_role("link", name="Open photo").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("that turn from right to wrong")
    page.wait_for_load_state("networkidle")
    site.look(page, "training-flip")
    page.get_by_label("an error of the challenger, accepted").check()
    page.get_by_role("button", name="Save the cause").click()
    page.wait_for_load_state("networkidle")
    assert FlipCause.objects.get().cause == "model"


def test_compare_promote_and_roll_back(
    site: Site, champion: Release, tmp_path: Path, keep: Callable[[Page, str], None]
) -> None:
    challenger = compared(tmp_path / "made", seed=3)
    page = site.log_in("admin")
    page.goto("/admin/training/releasereview/")
    site.look(page, "training-releases")
    page.get_by_role("link", name=challenger.pk).click()
    page.wait_for_load_state("networkidle")
    site.look(page, "training-compare")
    page.get_by_role("link", name="Evidence", exact=True).click()
    expect(page.get_by_role("heading", name="Flow of the data")).to_be_visible()
    page.wait_for_load_state("networkidle")
    site.look(page, "training-evidence")
    page.get_by_role("heading", name="Flow of the data").evaluate("element => element.scrollIntoView()")
    keep(page, "evidence")
    with page.expect_download() as download:
        page.get_by_role("link", name="As PDF").click()
    assert download.value.suggested_filename == f"evidence-{challenger.pk}.pdf"
    page.get_by_role("link", name="Back to the release").click()
    page.get_by_label("I know that there are too few photos").check()
    page.get_by_label("Reason").fill("For this test.")
    page.get_by_role("button", name=f"Promote {challenger.pk}").click()
    expect(page.get_by_text(f"Release {challenger.pk} serves now.")).to_be_visible()
    expect(page.get_by_text("Sensitivity not worse by more than 2 points")).to_be_visible()
    site.look(page, "training-promoted")
    page.locator("#content-main").get_by_role("link", name="Timeline").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{challenger.pk} serves since")
    site.look(page, "training-timeline")
    page.go_back()
    page.locator(".models-matrix").last.get_by_role("link").first.click()
    page.wait_for_load_state("networkidle")
    site.look(page, "training-photos")
    page.goto("/admin/training/releasereview/")
    page.get_by_role("link", name="Roll back", exact=True).click()
    site.look(page, "training-rollback")
    page.get_by_label("Reason").fill("Back to the first.")
    page.get_by_role("button", name="Roll back", exact=True).click()
    expect(page.get_by_text(f"Release {champion.pk} serves again.")).to_be_visible()
    assert Promotion.objects.filter(is_rollback=True).count() == 1


def test_a_live_test_in_shadow_and_in_ab(
    site: Site, champion: Release, tmp_path: Path, keep: Callable[[Page, str], None]
) -> None:
    folder = make_tiny_release(tmp_path / "made", name="challenger", seed=3, contrary=True, band="wide")
    challenger = store.register_release(folder=folder)
    page = site.log_in("admin")
    page.goto(f"/admin/training/releasereview/{challenger.pk}/change/")
    page.get_by_role("link", name="Try it on live photos").click()
    expect(page.get_by_label("Challenger")).to_have_value(challenger.pk)
    page.get_by_label("For how many photos").fill("12")
    page.get_by_label("Reason").fill("To see it on the photos of this clinic.")
    site.look(page, "live-start")
    page.get_by_role("button", name="Start the live test").click()
    expect(page.get_by_role("status")).to_have_text("running")
    for seed in range(7, 15):
        data = drawn_eye(seed, opacity=float(seed % 2), size=240)["buffer"]
        answering_services.upload_photo(data=data, user=None, source="api", facts=PhotoFacts(patient_key=f"P-{seed}"))
    shadow_worker.sweep()
    page.reload()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("8 of 12 photos scored")).to_be_visible()
    site.look(page, "live-shadow")
    page.locator(".training-chart").evaluate("element => element.parentElement.previousElementSibling.scrollIntoView()")
    keep(page, "shadow")
    page.get_by_role("button", name="Stop the test").click()
    expect(page.get_by_role("status")).to_contain_text("Stopped by hand.")
    test = LiveTest.objects.create(
        kind="ab", challenger=challenger, champion=champion, share=0.4, photos=50, reason="For the picture."
    )
    page.goto(f"/admin/training/livetestreview/{test.pk}/change/")
    expect(page.get_by_text("0 of 50 photos of patients with a key")).to_be_visible()
    site.look(page, "live-ab")


def test_an_import_is_checked_decided_and_kept(
    site: Site, champion: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_tasks.run_import, "delay", lambda import_id: None)
    folder = tmp_path / "eyes.zip"
    with zipfile.ZipFile(folder, "w") as file:
        for name, seed in (("train/normal/a.jpg", 21), ("test/normal/a.jpg", 21), ("test/cataract/b.jpg", 22)):
            file.writestr(name, drawn_eye(seed, opacity=float(seed % 2 == 0), size=240)["buffer"])
    page = site.log_in("admin")
    page.goto("/training/imports/")
    site.look(page, "imports-empty")
    page.get_by_label("ZIP archive of the folder").set_input_files(folder)
    page.get_by_label("Folders named train and test are splits").check()
    page.get_by_label("The models may learn from these photos").check()
    page.get_by_role("button", name="Check the archive").click()
    expect(page.get_by_role("status").filter(has_text="Dry run")).to_be_visible()
    row = PhotoImport.objects.get()
    import_worker.run_import(str(row.pk))
    expect(page.get_by_text("Waits for your decision")).to_be_visible()  # the page refreshes itself
    site.look(page, "import-checked")
    page.get_by_role("button", name="Import 2 photos").click()
    page.wait_for_load_state()
    import_worker.run_import(str(row.pk))
    expect(page.get_by_role("heading", name="What the import did")).to_be_visible()
    site.look(page, "import-done")
    page.goto("/training/encoders/")
    site.look(page, "encoders")
    page.goto("/training/labels/?split=test&answer=cataract")
    page.wait_for_load_state("networkidle")
    site.look(page, "training-label-photos")
