"""The systemd units of docs/production.md: systemd reads them, and what they start answers."""

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.services import free_port
from tests.system import System

BASE_DIR = Path(__file__).resolve().parent.parent.parent
UNITS = sorted((BASE_DIR / "deploy" / "systemd").iterdir())
PROGRAMS = Path(sys.executable).parent


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser


def command_of(name: str) -> list[str]:
    """What a unit starts, by the programs of this environment."""
    words = shlex.split(read(BASE_DIR / "deploy" / "systemd" / f"cataract-{name}.service")["Service"]["ExecStart"])
    program, *options = [word.replace("%H", "here") for word in words]
    if program == "/opt/cataract/bin/cataract":
        return [sys.executable, "-m", "cataract", *options]
    assert program.startswith("/opt/cataract/bin/")
    return [str(PROGRAMS / Path(program).name), *options]


def test_the_target_wants_every_unit_and_each_runs_with_few_rights() -> None:
    services = {unit.name for unit in UNITS if unit.suffix == ".service"}
    target = read(BASE_DIR / "deploy" / "systemd" / "cataract.target")
    assert set(target["Unit"]["Wants"].split()) == services and len(services) == 6
    for unit in UNITS:
        if unit.suffix == ".service":
            service = read(unit)["Service"]
            assert service["User"] == "cataract" and service["ProtectSystem"] == "strict"
            assert service["NoNewPrivileges"] == "yes" and service["UMask"] == "0077"
            assert service["EnvironmentFile"] == "/etc/cataract/environment"


def test_the_document_names_every_unit() -> None:
    text = (BASE_DIR / "docs" / "production.md").read_text()
    assert all(unit.stem.removeprefix("cataract-") in text for unit in UNITS)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = (
            unit.read_text()
            .replace("/opt/cataract/bin/", f"{PROGRAMS}/")
            .replace(f"{PROGRAMS}/cataract ", "/bin/true ")
        )
        (tmp_path / unit.name).write_text(text)
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "cataract" in line and "postgresql" not in line]
    assert not ours, "\n".join(ours)


@pytest.mark.fault
@pytest.mark.services
@pytest.mark.timeout(600)
def test_what_the_units_start_is_a_whole_system(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    port = free_port()
    environment = {
        "PRODUCTION": "1",
        "SECRET_KEY": "k" * 60,
        "ALLOWED_HOSTS": "screening.example,127.0.0.1",
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "MLFLOW_PORT": str(free_port()),
        "STATIC_ROOT": str(tmp_path / "static"),
    }
    system = System(tmp_path / "data", **environment)
    done = subprocess.run(
        command_of("setup"), cwd=BASE_DIR, env=system.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        for name in ("web", "worker", "trainer", "beat", "mlflow"):
            system.start(name, *[word.replace("--port=8000", f"--port={port}") for word in command_of(name)])
        asked = {"X-Forwarded-Proto": "https", "Host": "screening.example"}
        address = f"http://127.0.0.1:{port}/api/v1/health"

        def is_ready() -> bool:
            try:
                return requests.get(f"{address}/ready", headers=asked, timeout=5).ok
            except requests.RequestException:
                return False

        system.await_true(is_ready, 120, "the web server")
        ping = [str(PROGRAMS / "celery"), "--app=cataract", "inspect", "ping", "--timeout=5"]

        def both_answer() -> bool:
            said = subprocess.run(ping, cwd=BASE_DIR, env=system.env, capture_output=True, text=True, check=False)
            return "worker@here" in said.stdout and "trainer@here" in said.stdout

        system.await_true(both_answer, 120, "the workers")
        mlflow = f"http://127.0.0.1:{environment['MLFLOW_PORT']}/health"
        system.await_true(lambda: _is_ok(mlflow), 120, "MLflow")
        assert system.manage("doctor", check=False).returncode == 0
    finally:
        system.stop()


def _is_ok(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False
