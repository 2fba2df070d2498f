"""The demo: in a folder of its own, marked on every page, with the rows that a used system has."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from cataract.ops.demo import drawing, folder, history
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from tests.factories import AdjudicatorFactory, ReaderFactory, UserFactory
from tests.system import System

SENTENCE = "Eyes are drawn, people are made up."


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The environment may be changed freely; returns the folder that DATA_DIR names."""
    monkeypatch.setattr(os, "environ", {**os.environ, "DATA_DIR": str(tmp_path / "demo"), "PRODUCTION": "0"})
    return tmp_path / "demo"


def test_only_a_new_or_empty_folder_becomes_a_demo_and_no_server_is_reached(environment: Path) -> None:
    os.environ |= {"DATABASE_URL": "postgres://real", "REDIS_URL": "redis://real", "EMAIL_URL": "smtp://real"}
    assert folder.enter() == environment
    assert {"DATABASE_URL", "REDIS_URL", "EMAIL_URL"}.isdisjoint(os.environ)
    assert folder.read_mark(environment) == {"made": False}
    assert (environment / folder.MARK).stat().st_mode & 0o777 == 0o600


def test_a_folder_that_holds_anything_else_is_not_touched(environment: Path) -> None:
    environment.mkdir()
    (environment / "db.sqlite3").write_text("patients")
    with pytest.raises(folder.NotForDemo, match="holds something else"):
        folder.enter()
    assert [path.name for path in environment.iterdir()] == ["db.sqlite3"]


def test_an_interrupted_attempt_begins_again_and_a_finished_demo_stays(environment: Path) -> None:
    folder.enter()
    (environment / "db.sqlite3").write_text("half")
    folder.enter()
    assert not (environment / "db.sqlite3").exists()
    folder.write_mark(environment, {"made": True, "people": {}})
    (environment / "db.sqlite3").write_text("whole")
    folder.enter()
    assert (environment / "db.sqlite3").read_text() == "whole"


def test_production_is_never_a_demo(environment: Path) -> None:
    os.environ["PRODUCTION"] = "1"
    with pytest.raises(folder.NotForDemo, match="never runs in production"):
        folder.enter()
    assert not environment.exists()


def test_the_command_fills_no_folder_without_the_mark() -> None:
    with pytest.raises(CommandError, match="no demo folder"):
        call_command("demo")


@pytest.mark.django_db(transaction=True)
def test_the_weeks_of_the_clinics_leave_what_real_weeks_leave(champion: Release) -> None:
    people = history.People(
        screeners=[UserFactory.create(roles=("screener",)) for _ in drawing.SITES],
        readers=dict.fromkeys(ReaderFactory.create_batch(3), 0.9),
        adjudicator=AdjudicatorFactory.create(),
        admin=UserFactory.create(roles=("admin",)),
    )
    visits = drawing.plan(14)
    Release.objects.filter(pk=champion.pk).update(promoted_at=timezone.now() - timedelta(days=60))
    history.live(people, ((visit, drawing.draw(visit)) for visit in visits), say=lambda line: None)

    photos = EyeImage.objects.order_by("created_at")
    assert photos.count() == Prediction.objects.filter(release=champion).count() == len(visits)
    ages = [(timezone.now() - photo.created_at).days for photo in photos]
    assert ages == [visit.day for visit in visits], "each was sent on its day"
    assert {photo.site.name for photo in photos} == set(drawing.SITES)
    assert photos.filter(patient__key="DEMO-001").values("eye").distinct().count() == 2
    assert Reading.objects.filter(blind_at__lt=timezone.now() - timedelta(days=10)).exists()
    assert Label.objects.exists() and ReviewCase.objects.filter(status="resolved").exists()
    assert vars(timezone)["datetime"] is datetime, "the clock is right again"


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/accounts/login/", "/", "/admin/", "/api/v1/docs/"])
def test_every_page_of_a_demo_says_so_and_no_other_does(address: str, client: Client, settings: object) -> None:
    client.force_login(User.objects.create_superuser("root"))
    assert SENTENCE not in client.get(address, follow=True).content.decode()
    settings.DEMO = True  # type: ignore[attr-defined]
    assert SENTENCE in client.get(address, follow=True).content.decode()


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_a_whole_demo_is_made_and_well(tmp_path: Path) -> None:
    system = System(tmp_path / "none")
    system.env = {**system.env, "DATA_DIR": str(tmp_path / "demo")}  # the class makes its own folder, a demo wants none
    printed = system.manage("demo", "--no-run", timeout=600).stdout
    assert "Sign in as" in printed
    system.data_dir = tmp_path / "demo"
    (tmp_path / "demo" / "logs").mkdir()
    counted = "from review.cases.models import ReviewCase as C\nprint(C.objects.filter(status__in=C.OPEN).count())"
    assert int(system.python(counted)) >= 15, "a full queue"
    drift = "from predictions.drift.models import DriftCheck\nprint(DriftCheck.objects.count())"
    assert int(system.python(drift)) >= 1
    run = "from training.runs.models import TrainingRun as R\nfrom training.runs.worker import run\n"
    run += "run(str(R.objects.get().pk))\nfrom training.comparison.models import Comparison\n"
    assert system.python(run + "print(R.objects.get().status, Comparison.objects.count())") == "succeeded 1"
