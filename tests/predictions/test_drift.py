"""What is watched for drift: counted once, looked at in time, started over by a new champion or a person."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from predictions.answering.models import Prediction
from predictions.drift import services, worker
from predictions.drift.errors import ReasonMissing, SegmentChanged
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from tests.factories import DeviceFactory, SiteFactory, UserFactory
from tests.predictions.makers import answered, make_champion

pytestmark = pytest.mark.django_db


def watch() -> int:
    return worker.watch(seconds=600)  # a slow machine must not end a round early


def everything() -> DriftSegment:
    return DriftSegment.objects.get(kind="all")


def test_a_shift_is_found_with_its_beginning_and_names_its_measure() -> None:
    make_champion()
    assert watch() == 0 and everything().state == "collecting"
    middle = timezone.now() - timedelta(days=7)
    answered(400, until=middle)
    assert watch() == 8
    segment = everything()
    assert segment.state == "stable" and segment.since is None
    assert (len(segment.reference), len(segment.recent)) == (200, 200)
    answered(200, brighter=1.0, seed=1)
    assert watch() > 0
    segment = everything()
    assert segment.state == "drifted" and segment.since is not None and segment.confirmed_at is not None
    assert abs(segment.since - middle) < timedelta(days=2), "the shift began after `middle`"
    assert segment.confirmed_at - middle < timedelta(days=7), "within 200 photos"
    check = segment.checks.looks()[0]
    assert check.drifted[0] == "brightness" and "sharpness" not in check.drifted
    row = check.measures["brightness"]
    assert row["low"] < row["difference"] < row["high"] and row["difference"] > 0.5 and row["n_recent"] == 200
    assert row["recent"] > row["reference"] and row["p"] <= row["alpha"]
    assert 0.3 < check.measures["embedding"]["difference"] < 0.7, "the embeddings are as before"
    assert 0.5 < check.estimated["sensitivity"]["value"] < 1 and check.estimated["sensitivity"]["n"] == 200


def test_it_returns_to_no_drift_when_the_cause_is_gone() -> None:
    make_champion()
    start = timezone.now() - timedelta(days=40)
    answered(400, until=start)
    answered(100, until=start + timedelta(days=4), brighter=1.5, seed=1)
    watch()
    assert everything().state == "drifted"
    answered(250, until=start + timedelta(days=13), seed=2)
    watch()
    segment = everything()
    assert segment.state == "stable" and segment.since is None and segment.confirmed_at is None


def test_nothing_new_costs_three_queries_and_a_few_milliseconds() -> None:
    make_champion()
    answered(500)
    watch()
    checks = DriftCheck.objects.count()
    with CaptureQueriesContext(connection) as queries:
        started = time.process_time()
        assert watch() == 0
        took = time.process_time() - started
    assert len(queries) == 3 and took < 0.05
    assert DriftCheck.objects.count() == checks
    plan = Prediction.objects.filter(
        release="champion-of-the-test", status="done", done_at__gt=everything().read_until
    ).order_by("done_at")[:25]
    if connection.vendor == "sqlite":
        assert plan.explain().count("SEARCH") == 1 and "TEMP B-TREE" not in plan.explain(), "in the order of an index"


def test_each_answer_is_counted_once_and_only_live_photos_of_different_patients() -> None:
    make_champion()
    rows = answered(230)
    EyeImage.objects.filter(pk__in=[row.image_id for row in rows[:10]]).update(source="import")
    EyeImage.objects.filter(pk__in=[row.image_id for row in rows[10:15]]).update(withdrawn_at=timezone.now())
    EyeImage.objects.filter(pk__in=[row.image_id for row in rows[-5:]]).update(cluster=rows[-6].image.cluster)
    watch()
    watch()
    segment = everything()
    assert len(segment.reference) + len(segment.recent) == 230 - 10 - 5 - 5
    assert segment.read_until == rows[-1].done_at


def test_two_workers_at_once_count_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    make_champion()
    answered(60)
    original, calls = worker._new_answers, list[int]()

    def slow(segment: DriftSegment) -> list[dict[str, Any]]:
        rows = original(segment)
        if not calls:
            calls.append(1)
            watch()  # the other worker is faster
        return rows

    monkeypatch.setattr(worker, "_new_answers", slow)
    watch()
    assert len(everything().reference) == 60


def test_of_a_busy_day_a_random_part_is_taken() -> None:
    make_champion()
    day = timezone.now().replace(hour=0, minute=0, second=1) - timedelta(days=3)
    for number in range(3):
        answered(400, until=day + timedelta(days=number, hours=20), a_day=500, seed=number)
    watch()
    segment = everything()
    taken = len(segment.reference) + len(segment.recent)
    assert segment.rate == 0.25 and 400 + 2 * 60 < taken < 400 + 2 * 140


def test_sites_and_devices_are_watched_where_there_are_several_and_share_the_budget(settings: Any) -> None:
    make_champion()
    north, south = SiteFactory.create(name="North"), SiteFactory.create(name="South")
    old, new = DeviceFactory.create(site=south, name="old"), DeviceFactory.create(site=south, name="new")
    half = timezone.now() - timedelta(days=4)
    answered(260, site=north, until=half)
    answered(260, site=south, device=old, until=half, seed=1)
    answered(120, site=south, device=old, brighter=1.2, seed=2)
    answered(30, site=south, device=new, seed=3)
    watch()
    states = {str(segment): segment.state for segment in DriftSegment.objects.named()}
    assert states == {
        "All photos": states["All photos"],
        "North": "stable",
        "South": "drifted",
        "South, old": "drifted",
        "South, new": "collecting",
    }
    settings.DRIFT_FALSE_ALARMS = 0.6
    segments = {str(segment): segment for segment in DriftSegment.objects.named()}
    assert worker.budget_of(segments["All photos"]) == pytest.approx(0.3)
    shares = [worker.budget_of(segments[name]) for name in ("North", "South", "South, old")]
    assert sum(shares) == pytest.approx(0.3) and len(set(shares)) == 1


def test_a_new_champion_starts_over_and_keeps_the_record() -> None:
    make_champion()
    answered(300)
    assert watch() == 4
    Release.objects.update(status="retired")
    make_champion("next")
    Release.objects.filter(pk="next").update(promoted_at=timezone.now())
    assert watch() == 0
    segment = everything()
    assert (segment.release_id, segment.state, segment.reference, segment.recent) == ("next", "collecting", [], [])
    assert segment.checks.count() == 4
    assert DriftCheck.objects.looks().newest_of([segment]) == {}, "looks of another release say nothing of this one"


def test_deleted_photos_leave_what_is_compared() -> None:
    make_champion()
    rows = answered(300, until=timezone.now() - timedelta(days=2))
    watch()
    gone = [row.image_id for row in rows[:50]]
    EyeImage.objects.filter(pk__in=gone).update(status="trashed", removed_at=timezone.now())
    answered(60, seed=1)
    watch()
    segment = everything()
    members = {pk for pk, _ in segment.reference + segment.recent}
    assert not members & {str(row.pk) for row in rows[:50]} and len(segment.reference) == 200
    assert segment.checks.looks()[0].n_reference == 200


def test_a_person_starts_over_with_a_reason_and_no_look_is_ever_changed() -> None:
    make_champion()
    answered(400, until=timezone.now() - timedelta(days=5))
    answered(150, brighter=1.5, seed=1)
    watch()
    segment, admin = everything(), UserFactory.create(roles=["admin"])
    assert segment.state == "drifted"
    with pytest.raises(ReasonMissing):
        services.restart_segment(segment=segment, user=admin, reason=" ")
    services.restart_segment(segment=segment, user=admin, reason="The new lamp stays.")
    fresh = everything()
    assert fresh.state == "stable" and fresh.since is None and len(fresh.reference) == 200 and fresh.recent == []
    assert fresh.checks.filter(state="restarted", by=admin, reason="The new lamp stays.").count() == 1
    with pytest.raises(SegmentChanged):
        services.restart_segment(segment=segment, user=admin, reason="again, on an old page")
    with pytest.raises(DatabaseError), transaction.atomic():
        DriftCheck.objects.update(state="stable")


def test_the_api_gives_the_segments_that_the_caller_may_see(client: Client) -> None:
    make_champion()
    north, south = SiteFactory.create(name="North"), SiteFactory.create(name="South")
    answered(20, site=north, until=timezone.now() - timedelta(days=1))
    answered(240, site=south)
    watch()
    integrator = UserFactory.create(roles=["integrator"])
    integrator.sites.add(north)
    seen = {}
    for name, user in (("integrator", integrator), ("admin", UserFactory.create(roles=["admin"]))):
        client.force_login(user)
        body = client.get("/api/v1/drift").json()
        seen[name] = {(row["kind"], row["site"]): row for row in body["segments"]}
        assert {"measures", "shares", "reasons", "accurate_checks"} <= body.keys()
    assert seen["integrator"].keys() == {("all", None), ("site", "North")}
    assert seen["admin"].keys() == {("all", None), ("site", "North"), ("site", "South")}
    whole = seen["admin"][("all", None)]
    assert whole["state"] == "stable" and whole["measures"]["brightness"]["has_drifted"] is False
    assert whole["estimated"]["sensitivity"]["n"] == whole["measures"]["brightness"]["n_recent"] == 50
