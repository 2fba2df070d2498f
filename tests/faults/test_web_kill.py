"""kill -9 of the web process at every point of an upload: nothing acknowledged is lost, nothing is stored twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cataract.core.failpoints import POINTS
from tests.system import BASE_DIR, System

CRASHES = int(os.environ.get("CRASHES", "56"))  # for each database; `make faults` asks for more


def run_crashes(system: System) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crashes"],
        cwd=BASE_DIR,
        env={**system.env, "CRASHES": str(CRASHES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(found: Any) -> None:
    assert found["wrong"] == [] and found["doctor"] == [] and found["status"] == 0
    assert found["images"] == found["predictions"] == found["done"] == CRASHES
    assert set(found["points"]) == set(POINTS) - {"predict.running"} and sum(found["points"].values()) == CRASHES


def system_at(folder: Path, **env: str) -> System:
    return System(folder, FAULT_INJECTION="1", DECODER_PROCESSES="0", LOG_LEVEL="ERROR", **env)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_sqlite(tmp_path: Path, migrated: Path) -> None:
    system = system_at(tmp_path)
    system.take_database(migrated)
    check(run_crashes(system))


@pytest.mark.fault
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    system = system_at(tmp_path, DATABASE_URL=postgres_url)
    system.manage("migrate")
    check(run_crashes(system))
