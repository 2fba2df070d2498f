"""Send a batch in the browser and watch its progress; the page refreshes itself."""

import pytest
from playwright.sync_api import FilePayload, expect

from predictions.batches import worker
from predictions.batches.models import Batch
from predictions.releases.models import Release
from tests.browser.conftest import Site, drawn_eye


def test_send_and_watch(site: Site, champion: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *_args: None)  # the worker is called below
    page = site.log_in("screener")
    page.goto("/upload/")
    page.get_by_role("link", name="Batches").click()
    site.look(page, "batches")
    photos = [drawn_eye(seed, opacity=seed % 2) for seed in (31, 32, 33)]
    no_photo: FilePayload = {"name": "letter.jpg", "mimeType": "image/jpeg", "buffer": b"Dear colleague"}
    page.get_by_label("Photos", exact=True).set_input_files([*photos, no_photo])
    page.get_by_role("button", name="Send the photos").click()
    expect(page.get_by_role("status").last).to_contain_text("0 of 4 files")
    site.look(page, "batch-running")
    worker.run_batch(Batch.objects.get().pk)
    expect(page.get_by_role("status").last).to_contain_text("4 of 4 files: 3 stored, 0 already sent, 1 refused")
    site.look(page, "batch-done")
    page.get_by_role("link", name="Refused: 1").click()
    expect(page.get_by_role("row")).to_have_count(2)
    replacement = drawn_eye(34)
    replacement["name"] = "letter.jpg"
    page.get_by_label("Photos that replace refused files").set_input_files(replacement)
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status").last).to_contain_text("1 waiting")
    worker.run_batch(Batch.objects.get().pk)
    expect(page.get_by_role("status").last).to_contain_text("4 of 4 files: 4 stored, 0 already sent, 0 refused")
    page.goto("/batches/")
    expect(page.get_by_text("4 stored")).to_be_visible()
