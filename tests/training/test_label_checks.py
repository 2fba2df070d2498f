"""Labels that are probably wrong are found on real photos, shown before a run, and sent to readers as blind cases."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from django.test import Client

from cataract.ml.learn.fast.label_errors import find_suspects
from predictions.releases.models import Release
from review.agreement import in_service
from review.cases.models import ReviewCase
from review.labels.models import Label
from tests.factories import UserFactory
from tests.training.makers import label_photos
from training.label_checks import services, tasks, worker
from training.label_checks.models import LabelCheck

pytestmark = pytest.mark.django_db(transaction=True)
START = "/admin/training/trainingrun/add/"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would go to the broker."""
    sent: list[str] = []
    monkeypatch.setattr(tasks.check_labels, "delay", sent.append)
    monkeypatch.setattr("cataract.core.broker.nudge._in_background", lambda publish: publish())
    return sent


def wrong_labels(share: float) -> set[str]:
    """Turn that share of the standing training labels round, as a careless reader would; returns their ids."""
    labels = list(Label.objects.filter(image__split="train").order_by("image__sha256"))
    chosen = np.random.default_rng(0).choice(len(labels), round(share * len(labels)), replace=False)
    for label in (labels[index] for index in chosen):
        Label.objects.filter(pk=label.pk).delete()  # a label is never edited, not even by a test
        label.answer = "normal" if label.answer == "cataract" else "cataract"
        label.save(force_insert=True)
    return {str(labels[index].pk) for index in chosen}


@pytest.mark.photos
@pytest.mark.slow
def test_most_planted_mislabels_of_real_photos_are_found_and_reach_the_readers(
    client: Client, published: list[str], eyes: Path, tmp_path: Path
) -> None:
    from django.core.management import call_command

    from predictions.releases.services import install_starter

    install_starter()
    for label in ("normal", "cataract"):
        (tmp_path / "tree" / "train" / label).mkdir(parents=True)
        for photo in sorted((eyes / "train" / label).iterdir())[:50]:
            shutil.copyfile(photo, tmp_path / "tree" / "train" / label / photo.name)
    call_command("import_images", str(tmp_path / "tree"), "--labelled", "--split-from-folders", "--quiet")
    planted = wrong_labels(0.1)
    assert len(planted) >= 8

    client.force_login(UserFactory.create(roles=["admin"]))
    client.post("/admin/training/trainingrun/labels/check/")
    assert published == [str(LabelCheck.objects.get().pk)]
    waiting = client.get(START).content.decode()
    assert "hx-trigger" in waiting and 'http-equiv="refresh"' in waiting, "the page asks until it is over"
    worker.run_check(published[0])
    check = LabelCheck.objects.get()
    assert check.status == "done", check.error
    found = {label for label, _ in check.suspects}
    assert len(found & planted) >= 0.6 * len(planted), (len(found & planted), len(planted))
    assert len(found) <= 0.3 * check.photos, "not by doubting everything"

    page = client.get(START).content.decode()
    assert f"{len(found)} of {check.photos} labels were in doubt" in page and "hx-trigger" not in page
    client.post("/admin/training/trainingrun/labels/send/")
    client.post("/admin/training/trainingrun/labels/send/")  # a double click
    queued = ReviewCase.objects.filter(reasons=["suspected_label"])
    assert {str(pk) for pk in queued.values_list("image__labels", flat=True)} == found
    assert set(queued.values_list("status", "review_propensity")) == {("first", 1.0)}


def test_a_reader_is_not_told_and_the_case_says_nothing_of_the_ai_in_service(client: Client, champion: Release) -> None:
    label_photos()
    label = Label.objects.filter(image__split="train").first()
    assert label is not None
    check = LabelCheck.objects.create(suspects=[[str(label.pk), 0.02]])
    assert services.send_to_review(check=check) == 1
    case = ReviewCase.objects.get()
    assert case.prediction is not None and case.prediction.status == "queued"
    client.force_login(UserFactory.create(roles=["reader"]))
    page = client.post("/review/next/", follow=True).content.decode()
    assert str(case.pk) in page
    assert "suspected" not in page and "in doubt" not in page
    client.post(f"/review/cases/{case.pk}/", {"step": "blind", "answer": "normal"})
    assert in_service.rows() == []


def test_the_test_split_and_photos_without_consent_are_not_looked_at(champion: Release) -> None:
    labels = label_photos()
    labels[0].image.may_train = False
    labels[0].image.save()
    check = LabelCheck.objects.create()
    worker.run_check(str(check.pk))
    check.refresh_from_db()
    assert (check.status, check.photos) == ("done", 25), check.error


def test_what_cannot_be_checked_is_said(client: Client, published: list[str], champion: Release) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    client.post("/admin/training/trainingrun/labels/check/")
    again = client.post("/admin/training/trainingrun/labels/check/", follow=True)
    assert b"being checked already" in again.content
    worker.run_check(published[0])
    assert b"There are no labels of both classes yet" in client.get(START).content
    assert LabelCheck.objects.get().status == "failed"

    client.force_login(UserFactory.create(roles=["auditor"]))
    for path in ("check/", "send/"):
        assert client.post(f"/admin/training/trainingrun/labels/{path}").status_code == 403


def test_a_copy_in_the_same_cluster_does_not_vouch_for_a_label() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 8)).astype(np.float32) + 2 * y[:, None]
    x, groups, said = np.repeat(x, 2, axis=0), np.repeat(np.arange(60), 2), np.repeat(y, 2)
    wrong = groups % 10 == 3
    said[wrong] = 1 - said[wrong]  # photos and their copies, all wrong
    found = {row for row, _ in find_suspects(x, said, groups)}
    assert len(found & set(np.flatnonzero(wrong))) >= 10
