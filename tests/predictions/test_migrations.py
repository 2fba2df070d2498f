"""The long way of old installations ends where new ones start, and loses nothing on the way."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

BEFORE = [("predictions", "0005_plain_english"), ("review", "0004_plain_english")]


@pytest.fixture
def old(transactional_db: None) -> Any:
    """The models of the schema before; afterwards the newest schema again.

    Going back makes SQLite build tables anew, which loses their triggers: the tests that follow need them.
    """
    triggers = _triggers()
    MigrationExecutor(connection).migrate([*_squashed()])  # without what came after them
    yield _migrate(BEFORE)
    _newest()
    with connection.cursor() as cursor:
        for name in triggers.keys() - _triggers().keys():
            cursor.execute(triggers[name])
    assert _triggers().keys() == triggers.keys()


def _triggers() -> dict[str, str]:
    """The statement of each trigger, by name; on SQLite only."""
    if connection.vendor != "sqlite":
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return dict(cursor.fetchall())


def _newest() -> Any:
    _migrate([migration.replaces[-1] for migration in _squashed().values()])
    executor = MigrationExecutor(connection)  # and what came after them
    return executor.migrate(executor.loader.graph.leaf_nodes()).apps


def _squashed() -> dict[tuple[str, str], Any]:
    """The migrations that replace others, by their keys."""
    disk = MigrationLoader(connection, replace_migrations=False).disk_migrations
    return {key: migration for key, migration in disk.items() if migration.replaces}


def _migrate(targets: list[tuple[str, str]]) -> Any:
    """The models after the single migrations up to `targets`, not after those that replace them."""
    executor = MigrationExecutor(connection)
    executor.loader = _loader_of_single_ones()
    return executor.migrate(targets).apps


def _loader_of_single_ones() -> MigrationLoader:
    """Without what came after the squashed migrations: it builds on them, not on the single ones."""
    loader = MigrationLoader(connection, replace_migrations=False)
    squashed = _squashed()
    single = {key for migration in squashed.values() for key in migration.replaces}
    apps = {app for app, _ in squashed}
    for key in [key for key in loader.graph.nodes if key[0] in apps and key not in single and key not in squashed]:
        for parent in loader.graph.node_map.pop(key).parents:
            parent.children.discard(key)
        del loader.graph.nodes[key]
    return loader


def photo(apps: Any, number: int, **facts: Any) -> Any:
    cluster = apps.get_model("predictions", "Cluster").objects.create(split="train")
    digest = f"{number:064x}"
    return apps.get_model("predictions", "EyeImage").objects.create(
        sha256=digest, stored_sha256=digest, stored_name=digest, format="JPEG", width=1, height=1, size=1,
        perceptual_hash=digest[:16], cluster=cluster, split="train", source="upload", **facts,
    )  # fmt: skip


def prediction(apps: Any, image: Any, decision: str, **values: Any) -> Any:
    release, _ = apps.get_model("predictions", "Release").objects.get_or_create(
        id="r", defaults={"manifest_sha256": "0" * 64, "encoder": "0" * 64}
    )
    return apps.get_model("predictions", "Prediction").objects.create(
        image=image, status="done", done_at=timezone.now(), release=release, decision=decision,
        review_propensity=1.0, **values,
    )  # fmt: skip


@pytest.mark.fault
def test_text_becomes_rows_and_answers_become_final_results(old: Any) -> None:
    images = [
        photo(old, 1, site="North", device="Pixel", patient_key="P-1"),
        photo(old, 2, site="North", device="", patient_key="P-1"),
        photo(old, 3, site="South", device="Pixel", patient_key="P-1"),
        photo(old, 4),
    ]
    sure = prediction(old, images[0], "normal", needs_review=False)
    audited = prediction(old, images[1], "normal", needs_review=True, reasons=["audit_sample"])
    unsure = prediction(old, images[2], "normal", needs_review=True, reasons=["uncertain"])
    case = old.get_model("review", "ReviewCase").objects.create(
        prediction=unsure, image=images[2], status="resolved", resolved_at=timezone.now(), review_propensity=1.0,
        policy_version="1",
    )  # fmt: skip
    old.get_model("review", "Label").objects.create(
        image=images[2], answer="cataract", provenance="blind", may_train=True, case=case
    )

    new = _newest()
    rows = {row.pk: row for row in new.get_model("predictions", "EyeImage").objects.all()}
    north, north_too, south, nowhere = (rows[image.pk] for image in images)
    assert [row.site.name for row in (north, north_too, south, nowhere)] == ["North", "North", "South", "Main site"]
    assert north.patient_id == north_too.patient_id and north.patient_id != south.patient_id, "a patient is of a site"
    assert north.patient.key == south.patient.key == "P-1" and nowhere.patient_id is None
    assert north.device.name == south.device.name == "Pixel" and north.device_id != south.device_id
    results = new.get_model("predictions", "FinalResult").objects.filter(superseded_at=None)
    told = {row.prediction_id: (row.answer, row.basis, row.status, row.contradicts_ai) for row in results}
    assert told == {
        sure.pk: ("normal", "ai", "final", False),
        audited.pk: ("normal", "ai", "provisional", False),
        unsure.pk: ("cataract", "single", "final", True),
    }


THE_LONG_WAY = """
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
executor = MigrationExecutor(connection)
executor.loader = MigrationLoader(connection, replace_migrations=False)
replaced = [migration.replaces for migration in executor.loader.disk_migrations.values() if migration.replaces]
executor.migrate([keys[-1] for keys in replaced])
executor = MigrationExecutor(connection)  # what came after the squashed ones
executor.migrate(executor.loader.graph.leaf_nodes())
"""


@pytest.mark.fault
@pytest.mark.skipif("sqlite" not in connection.vendor, reason="compares what SQLite says of its tables")
@pytest.mark.django_db
def test_the_long_way_and_the_short_one_end_at_the_same_schema(tmp_path: Path) -> None:
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "cataract.settings"}
    environment.pop("DATABASE_URL", None)
    subprocess.run([sys.executable, "-c", THE_LONG_WAY], env=environment, cwd=settings.BASE_DIR, check=True)
    long_way, short_way = _schema(tmp_path / "db.sqlite3"), _schema(Path(connection.settings_dict["NAME"]))
    assert long_way.keys() == short_way.keys()
    assert {name: (words, short_way[name]) for name, words in long_way.items() if words != short_way[name]} == {}


def _schema(path: Path) -> dict[str, list[str]]:
    """The words of each statement that made a table, index or trigger, whatever the order of its columns."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: sorted(sql.translate(str.maketrans("(),", "   ")).split()) for name, sql in rows}
