"""Upgrades: checks and a copy before, a note of the version after, a downgrade refused, a better starter offered."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import call_command

from cataract.ops.doctor import check_releases
from cataract.ops.upgrades.models import InstalledVersion
from cataract.ops.upgrades.services import bring_up_to_date, program_version
from predictions.releases.models import Release
from predictions.releases.services import add_starter, starter_on_offer
from tests.system import System


def rows(system: System, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(system.data_dir / "db.sqlite3")) as database, database:
        return database.execute(query).fetchall()


def test_an_upgrade_copies_the_database_first_and_a_downgrade_is_refused(tmp_path: Path, migrated: Path) -> None:
    system = System(tmp_path)
    system.take_database(migrated)
    last = "predictions", "0023_a_column_of_the_next_version"
    system.python("from django.contrib.auth.models import User; User.objects.create_user('kept')")
    # An earlier version: this table was not there yet.
    rows(system, "DROP TABLE cataract_installedversion")
    rows(system, "DELETE FROM django_migrations WHERE app = 'cataract' AND name >= '0010'")

    said = system.manage("setup", "--no-static").stdout

    copies = list((tmp_path / "upgrades").glob("*/db.sqlite3"))
    assert len(copies) == 1 and str(copies[0]) in said
    with closing(sqlite3.connect(copies[0])) as copy:
        assert copy.execute("SELECT username FROM auth_user").fetchall() == [("kept",)]
        assert not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'cataract_installedversion'").fetchall()
    assert rows(system, "SELECT version FROM cataract_installedversion") == [(program_version(),)]
    assert "Making the database ready" not in system.manage("setup", "--no-static").stdout
    assert len(rows(system, "SELECT 1 FROM cataract_installedversion")) == 1, "the same version is noted once"

    rows(system, f"INSERT INTO django_migrations (app, name, applied) VALUES ('{last[0]}', '{last[1]}', '2030-01-01')")
    rows(system, "INSERT INTO cataract_installedversion (version, since) VALUES ('9.1.0', '2030-01-01')")
    refused = system.manage("setup", "--no-static", check=False)
    assert refused.returncode and "This database is of version 9.1.0" in refused.stderr
    assert "restore the backup" in refused.stderr and "Traceback" not in refused.stderr
    assert "A newer version has changed this database" in system.manage("doctor", check=False).stdout


@pytest.mark.django_db
def test_a_new_database_is_noted_without_a_copy(own_folders: None, settings: object) -> None:
    bring_up_to_date(say=lambda line: pytest.fail(line))
    assert [row.version for row in InstalledVersion.objects.all()] == [program_version()]


@pytest.mark.django_db
def test_another_shipped_release_is_offered_and_never_serves_by_itself(champion: Release) -> None:
    shipped = starter_on_offer()
    assert shipped.startswith("starter-") and shipped != champion.pk
    assert any(shipped in finding.message for finding in check_releases(lambda line: None))
    call_command("install_starter", "--challenger", verbosity=0)
    assert Release.objects.get(pk=shipped).status == Release.Status.CHALLENGER
    champion.refresh_from_db()
    assert champion.status == Release.Status.CHAMPION
    assert starter_on_offer() == "" and add_starter().pk == shipped
