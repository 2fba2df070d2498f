"""The policy starts runs when it should, says why, and never twice for the same labels. The clock is patched."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from predictions.drift.models import DriftCheck, DriftSegment
from predictions.releases import serving
from predictions.releases.models import Promotion, Release
from review.cases.models import ReviewCase
from tests.factories import LabelFactory, SiteFactory, UserFactory
from tests.review.makers import make_case
from tests.training.makers import capture_published, label_photo, label_photos
from training.runs import previews
from training.runs import services as training_services
from training.runs.models import TrainingRun
from training.tracking import mlflow_client
from training.triggers import drift_metrics
from training.triggers import worker as triggers
from training.triggers.models import TrainingPolicy, TriggerFiring

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    return capture_published(monkeypatch)


@pytest.fixture
def labelled(champion: Release) -> Release:
    """A champion, and labels enough for a run."""
    label_photos(test=1)
    return champion


def set_policy(**values: Any) -> None:
    TrainingPolicy.objects.update_or_create(pk=1, defaults={"is_on": True, "kind": "fast", **values})


def finish(run: TrainingRun | None, champion: Release) -> None:
    assert run is not None
    TrainingRun.objects.filter(pk=run.pk).update(status="succeeded", release=champion)


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(timezone, "now", lambda: moment)


def test_the_policy_is_off_at_first(labelled: Release) -> None:
    assert triggers.check() is None
    set_policy(is_on=False, new_labels=1, every_days=1)
    assert triggers.check() is None
    assert not TrainingRun.objects.exists()


def test_new_labels_start_a_run_once(labelled: Release, published: list[tuple[str, str]]) -> None:
    set_policy(new_labels=29)
    assert triggers.check() is None, "28 are new"
    label_photo("normal", "train", 501)
    firing = triggers.check()
    assert firing is not None and firing.run is not None
    assert (firing.trigger, firing.reason) == ("new_labels", "29 labels are new, 29 asked for")
    assert firing.run.reason == "By the policy: 29 labels are new, 29 asked for" and firing.run.requested_by is None
    assert firing.run.asked_for_by == "the policy (new labels: 29 labels are new, 29 asked for)"
    assert published == [("run_training", str(firing.run.pk))]
    assert triggers.check() is None, "a run is active"
    finish(firing.run, labelled)
    set_policy(new_labels=1)
    assert triggers.check() is None, "nothing is new since"
    label_photo("cataract", "train", 502)
    again = triggers.check()
    assert again is not None and again.reason == "1 labels are new, 1 asked for"
    assert TriggerFiring.objects.count() == 2
    assert Promotion.objects.count() == 1, "it never promotes"


def test_a_schedule_starts_a_run_when_the_last_is_old_and_the_labels_are_others(
    labelled: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_policy(every_days=7)
    first = triggers.check()
    assert first is not None and first.reason == "there was no run yet"
    finish(first.run, labelled)
    start = timezone.now()
    at(monkeypatch, start + timedelta(days=8))
    assert triggers.check() is None, "the same labels"
    label_photo("normal", "train", 503)
    at(monkeypatch, start + timedelta(days=6))
    assert triggers.check() is None, "too early"
    at(monkeypatch, start + timedelta(days=7, minutes=1))
    second = triggers.check()
    assert second is not None and second.reason == "the last run is 7 days old or older"


def test_a_confirmed_drift_starts_one_run_and_never_without_new_labels(
    labelled: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "DRIFT_LABELS", 3)
    set_policy(on_drift=True)
    since = timezone.now() - timedelta(days=3)
    site = SiteFactory.create(name="North")
    segment = DriftSegment.objects.create(kind="site", site=site, release=labelled, state="suspected")
    seeds = itertools.count(600)

    def label_photos_of(count: int, **facts: Any) -> None:
        for _ in range(count):
            label_photo("normal", "train", next(seeds), **{"site": site} | facts)

    label_photos_of(1)
    assert triggers.check() is None, "suspected is not confirmed"
    DriftSegment.objects.update(state="drifted", since=since, confirmed_at=timezone.now())
    finish(training_services.start_training(user=None, kind="fast", reason="by hand"), labelled)
    assert triggers.check() is None, "no label is new"
    label_photos_of(3, site=SiteFactory.create())
    label_photos_of(3, created_at=since - timedelta(days=1))
    label_photos_of(2)
    assert triggers.check() is None, "few labels are of photos that have drifted"
    label_photos_of(1)
    firing = triggers.check()
    assert firing is not None and firing.trigger == "drift" and firing.run is not None
    assert firing.reason.startswith("drift. North, since about ") and firing.reason.endswith(
        "3 of its photos since have new labels"
    )
    finish(firing.run, labelled)
    label_photos_of(3)
    assert triggers.check() is None, "one run for one drift"
    DriftSegment.objects.filter(pk=segment.pk).update(confirmed_at=timezone.now())
    assert triggers.check() is not None, "a drift that was confirmed later is another one"


def test_looks_for_drift_become_metrics_of_the_run_that_made_the_release(labelled: Release) -> None:
    segment = DriftSegment.objects.create(kind="all", release=labelled)
    row = {"difference": 0.7, "low": 0.5, "high": 0.9, "p": 1e-6, "alpha": 1e-4, "has_drifted": True}
    estimate = {"sensitivity": {"value": 0.91, "low": 0.8, "high": 0.97, "n": 200}}
    for state in ("stable", "drifted"):
        DriftCheck.objects.create(
            segment=segment, release=labelled, state=state, measures={"brightness": row}, estimated=estimate
        )
    DriftCheck.objects.create(
        segment=segment, release=labelled, state="restarted", by=UserFactory.create(roles=["admin"]), reason="a lamp"
    )
    assert drift_metrics.deliver() == 2
    assert drift_metrics.deliver() == 0, "each look once"
    client = mlflow_client.connect()
    (run,) = client.search_runs([mlflow_client.experiment(client)], filter_string=f"tags.drift_of = '{labelled.pk}'")
    metrics = run.data.metrics
    assert metrics["drift/All photos/brightness"] == 0.7 and metrics["drift/All photos/state"] == 2
    assert metrics["drift/All photos/estimated_sensitivity"] == 0.91
    assert [point.value for point in client.get_metric_history(run.info.run_id, "drift/All photos/state")] == [0, 2]


def test_contradicted_answers_start_a_run_where_they_are_surely_too_many(
    labelled: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(decision: str, answer: str) -> None:
        case = make_case(decision)
        LabelFactory.create(image=case.image, answer=answer, provenance="blind", may_train=False)
        ReviewCase.objects.filter(pk=case.pk).update(status="resolved", resolved_at=timezone.now())

    set_policy(max_override_rate=0.2)
    assert triggers.check() is None, "there are no readings"
    for _ in range(5):
        read("cataract", "cataract")
    read("cataract", "normal")
    read("normal", "cataract")
    assert triggers.check() is None, "2 of 7 may be chance"
    for _ in range(8):
        read("normal", "cataract")
    firing = triggers.check()
    assert firing is not None and firing.trigger == "overrides"
    assert firing.reason.startswith("readers overrule 66.7% of the answers (")


def test_a_run_that_cannot_start_is_logged_once_with_the_reason(champion: Release) -> None:
    set_policy(every_days=1)
    firing = triggers.check()
    assert firing is not None and firing.run is None
    assert "There are not enough confirmed labels to train on" in firing.error
    assert triggers.check() is None
    assert TriggerFiring.objects.count() == 1 and not TrainingRun.objects.exists()


def test_of_two_checks_at_once_one_starts_a_run(labelled: Release) -> None:
    """What the second does that looked just before the first committed."""
    set_policy(every_days=1)
    first = triggers.check()
    assert first is not None
    assert triggers._fire(TrainingPolicy.objects.get(), "schedule", "again", first.fingerprint) is None
    assert triggers._fire(TrainingPolicy.objects.get(), "schedule", "again", "f" * 64) is None, "a run is active"
    assert (TrainingRun.objects.count(), TriggerFiring.objects.count()) == (1, 1)


def test_an_admin_edits_the_policy_and_the_command_says_what_it_did(
    client: Client, labelled: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    page = client.get("/admin/training/trainingpolicy/", follow=True)
    assert page.status_code == 200 and b"Start when the last run is this many days old" in page.content
    form = {
        "is_on": "on",
        "kind": "fast",
        "new_labels": "5",
        "max_override_rate": "",
        "every_days": "",
    }
    assert client.post("/admin/training/trainingpolicy/1/change/", form).status_code == 302
    call_command("train_if_due")
    assert "is queued: 28 labels are new, 5 asked for" in capsys.readouterr().out
    call_command("train_if_due")
    assert "The policy asks for no run now." in capsys.readouterr().out
    listing = client.get("/admin/training/triggerfiring/").content.decode()
    assert "28 labels are new, 5 asked for" in listing
    run = TrainingRun.objects.get()
    for address in (f"/admin/training/trainingrun/{run.pk}/change/", "/admin/training/trainingrun/"):
        shown = client.get(address).content.decode()
        assert "the policy (new labels: 28 labels are new, 5 asked for)" in shown and "the command line" not in shown
    answer = client.get(f"/api/v1/training-runs/{run.pk}").json()
    assert answer["asked_for_by"] == "the policy (new labels: 28 labels are new, 5 asked for)"
    client.force_login(UserFactory.create(roles=["auditor"]))
    assert client.get("/admin/training/trainingpolicy/1/change/").status_code == 200
    assert client.post("/admin/training/trainingpolicy/1/change/", form).status_code == 403
    assert serving.champion() is not None


def test_the_policy_is_looked_at_after_each_new_label_and_once_an_hour(
    labelled: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(triggers, "check", lambda: looked.append(True))
    set_policy(new_labels=1000)
    for _ in range(3):
        triggers.check_if_changed()
    assert len(looked) == 1
    label_photo("normal", "train", 502)
    for _ in range(3):
        triggers.check_if_changed()
    assert len(looked) == 2
    at(monkeypatch, timezone.now() + triggers.CHECK_EVERY)
    triggers.check_if_changed()
    assert len(looked) == 3


def test_a_worker_counts_many_labels_for_the_start_page(
    labelled: Release, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.runs.previews.AT_ONCE", 0)
    monkeypatch.setattr("training.runs.previews.nudge", lambda *_: None)
    client.force_login(UserFactory.create(roles=["admin"]))
    start = "/admin/training/trainingrun/add/"
    assert "A worker is counting the labels" in client.get(start).content.decode()
    previews.prepare_preview("preview of a training run")
    page = client.get(start).content.decode()
    assert "28 photos with a confirmed label" in page and "Counted at" in page
