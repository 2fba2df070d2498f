"""The compose file and the Dockerfile are read by the tools that would use them, and hold what production needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BASE_DIR = Path(__file__).resolve().parent.parent.parent
SECRETS = {"SECRET_KEY": "a", "ALLOWED_HOSTS": "b", "POSTGRES_PASSWORD": "c", "REDIS_PASSWORD": "d"}


def compose_config(**env: str) -> "subprocess.CompletedProcess[str]":
    command = [
        shutil.which("docker-compose") or pytest.fail("docker-compose is not installed (Debian package)"),
        "config",
    ]
    clean = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return subprocess.run(
        command, cwd=BASE_DIR, env={**clean, **env}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.services
def test_compose_reads_the_file_and_every_service_is_watched() -> None:
    done = compose_config(**SECRETS)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    ours = {"setup", "web", "worker", "beat", "trainer", "mlflow", "postgres", "redis"}
    profiles = {"prometheus": ["monitoring"], "grafana": ["monitoring"], "proxy": ["proxy"]}
    assert set(services) == ours | set(profiles)
    for name, service in services.items():
        assert service.get("profiles", []) == profiles.get(name, [])
    in_dockerfile = {"web"}
    for name, service in services.items():
        assert "healthcheck" in service or name in in_dockerfile, f"{name} has no healthcheck"
    for name in ("web", "worker", "beat", "trainer"):
        assert set(services[name]["depends_on"]) == {"setup", "postgres", "redis"}
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"]
    assert services["trainer"]["build"]["target"] == "trainer" and services["web"]["build"]["target"] == "web"


@pytest.mark.services
def test_the_commit_and_the_name_of_mlflow_reach_images_and_services() -> None:
    done = compose_config(**SECRETS, CODE_COMMIT="abc", MLFLOW_NAME="eyes.example", MLFLOW_PORT="6000")
    services = yaml.safe_load(done.stdout)["services"]
    for name in ("web", "trainer"):
        assert services[name]["build"]["args"]["CODE_COMMIT"] == "abc"
    web = services["web"]["environment"]
    assert (web["MLFLOW_ALLOWED_HOSTS"], web["MLFLOW_PORT"], web["MLFLOW_UI_URL"]) == ("eyes.example", "6000", "")
    allowed = next(part for part in services["mlflow"]["command"] if part.startswith("--allowed-hosts="))
    assert {"mlflow:5000", "eyes.example", "eyes.example:*"} <= set(allowed.partition("=")[2].split(","))


@pytest.mark.services
@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_compose_refuses_to_start_without_a_secret(secret: str) -> None:
    done = compose_config(**{name: value for name, value in SECRETS.items() if name != secret})
    assert done.returncode != 0


def test_no_secret_is_written_into_the_compose_file() -> None:
    text = (BASE_DIR / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text, f"{name} needs no value from the environment"


def test_no_secret_is_an_argument() -> None:
    """Every account of a host can read the arguments of a process."""
    redis = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]["redis"]
    script = redis["command"][-1]
    exec_line, *standard_input = script.strip().splitlines()
    assert exec_line.startswith("exec redis-server - ") and "AUTH" not in exec_line
    assert standard_input == ["requirepass $$REDISCLI_AUTH", "EOF"]


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "hadolint"), "Dockerfile"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_web_image_takes_no_training_packages_and_no_image_runs_as_root() -> None:
    stages = {}
    for block in (BASE_DIR / "Dockerfile").read_text().split("\nFROM ")[1:]:
        stages[block.partition(" AS ")[2].split()[0]] = block
    assert "core-packages" in stages["web"] and "train" not in stages["web"]
    for name in ("web", "trainer"):
        assert "USER 10001" in stages[name] and "HEALTHCHECK" in stages[name]
