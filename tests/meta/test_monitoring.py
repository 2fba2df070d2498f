"""A real Prometheus: it scrapes a running system, and its rules fire on a worker that stopped."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.services import free_port
from tests.system import BASE_DIR, System

PROMETHEUS = BASE_DIR / "docker" / "prometheus"
MAKE_KEY = """
from cataract.core import tokens
from tests.factories import UserFactory
user = UserFactory.create(roles=["integrator"])
print(tokens.create_token(user=user, name="metrics", scopes=["read"], days=1)[1])
"""


def program(name: str) -> str:
    return shutil.which(name) or pytest.fail(f"{name} is not installed (Debian: prometheus).")


def test_each_rule_fires_on_what_it_is_about() -> None:
    rules = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules}
    done = subprocess.run(
        [program("promtool"), "test", "rules", "rules_test.yml"],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_and_the_rules_ask_for_metrics_that_exist() -> None:
    written = "".join(
        (BASE_DIR / path).read_text() for path in ("cataract/core/metrics.py", "cataract/ops/metrics/state.py")
    )
    known = set(re.findall(r'"(cataract_\w+)"', written))
    for path in (PROMETHEUS / "rules.yml", BASE_DIR / "docker" / "grafana" / "dashboards" / "cataract.json"):
        asked = {
            re.sub(r"_(total|bucket|sum|count|info)$", "", name)
            for name in re.findall(r"cataract_\w+", path.read_text())
        }
        assert asked <= known, path


@pytest.fixture
def system(tmp_path: Path, migrated: Path, static_files: Path) -> Iterator[System]:
    system = System(tmp_path, STATIC_ROOT=str(static_files))
    system.take_database(migrated)
    system.manage("install_starter")
    yield system
    system.stop()


@pytest.mark.slow
@pytest.mark.services
def test_prometheus_scrapes_the_system_and_says_when_the_worker_stops(system: System, tmp_path: Path) -> None:
    port, own_port = free_port(), free_port()
    (tmp_path / "key").write_text(system.python(MAKE_KEY))
    system.start_broker()
    worker = system.start_worker()
    system.start_web(port)
    start_prometheus(system, tmp_path / "prometheus", own_port, port)

    def ask(query: str) -> list[Any]:
        try:
            answer = requests.get(f"http://127.0.0.1:{own_port}/api/v1/query", {"query": query}, timeout=5)
        except requests.RequestException:
            return []
        return list(answer.json()["data"]["result"]) if answer.ok else []  # 503 while it starts

    def number(query: str) -> float:
        found = ask(query)
        return float(found[0]["value"][1]) if found else -1.0

    system.await_true(lambda: number("cataract_workers") == 1, 90, "a scrape that sees the worker")
    assert number('up{job="web"}') == 1 and number("cataract_champion_up") == 1
    assert ask("cataract_champion_info")[0]["metric"]["release"].startswith("starter-")
    system.await_true(lambda: number("sum(cataract_tasks_total)") > 0, 90, "a task that a worker counted")
    assert not ask('ALERTS{alertname="NoWorker"}')
    worker.terminate()
    worker.wait(60)
    system.await_true(lambda: bool(ask('ALERTS{alertname="NoWorker",alertstate="firing"}')), 60, "the alert")


def start_prometheus(system: System, folder: Path, own_port: int, port: int) -> None:
    """With the shipped rules, each second and without their patience, so that the test takes seconds."""
    folder.mkdir()
    rules = re.sub(r"for: \w+", "for: 0s", (PROMETHEUS / "rules.yml").read_text())
    (folder / "rules.yml").write_text(rules)
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    web = configuration["scrape_configs"][0]
    web["authorization"]["credentials_file"] = str(folder.parent / "key")
    web["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    configuration["scrape_configs"] = [web]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    system.start(
        "prometheus",
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
    )
