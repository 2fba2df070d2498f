"""The supervisor keeps services running, lets tasks finish, and leaves no process behind."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cataract.ops import supervisor as module
from cataract.ops.supervisor import Service, Supervisor
from tests.services import free_port
from tests.system import PROGRAMS, System, kill_tree

FINISHES_AFTER_SIGTERM = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)
pathlib.Path(sys.argv[1], "started").touch()
signal.pause()
time.sleep(6)  # honcho would have killed it after 5
pathlib.Path(sys.argv[1], "finished").touch()
"""
NOTES_WHEN_STOPPED = """
import pathlib, signal, sys, time
pathlib.Path(sys.argv[2]).touch()
signal.sigwait([signal.SIGTERM]) if signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]) is not None else None
pathlib.Path(sys.argv[1]).write_text(str(time.time()))
"""


def python(name: str, code: str, *arguments: str, **options: object) -> Service:
    return Service(name, [sys.executable, "-c", code, *arguments], **options)  # type: ignore[arg-type]


def wait_for(*paths: Path, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, f"not there: {paths}"
        time.sleep(0.02)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs")
    yield supervisor
    supervisor.stop()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)


def test_a_task_that_runs_at_the_stop_finishes(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(python("first", "import signal; signal.pause()"))
    supervisor.start(python("task", FINISHES_AFTER_SIGTERM, str(tmp_path), stop_signals=((signal.SIGTERM, 15.0),)))
    wait_for(tmp_path / "started")
    supervisor.stop()
    assert (tmp_path / "finished").exists()


def test_the_first_service_outlives_those_that_use_it(supervisor: Supervisor, tmp_path: Path) -> None:
    broker, user = tmp_path / "broker", tmp_path / "user"
    for name, path in (("broker", broker), ("user", user)):
        supervisor.start(python(name, NOTES_WHEN_STOPPED, str(path), f"{path}.ready"))
    wait_for(Path(f"{broker}.ready"), Path(f"{user}.ready"))
    time.sleep(0.2)
    supervisor.stop()
    assert float(broker.read_text()) > float(user.read_text())


def test_who_ignores_every_signal_is_killed_with_all_its_children(supervisor: Supervisor, tmp_path: Path) -> None:
    stubborn = (
        "import pathlib, signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "path = pathlib.Path(sys.argv[1]); path.with_suffix('.new').write_text(str(child.pid))\n"
        "path.with_suffix('.new').rename(path)\n"
        "while True: signal.pause()\n"
    )
    supervisor.start(python("stubborn", stubborn, str(tmp_path / "pid"), stop_signals=((signal.SIGTERM, 0.3),)))
    wait_for(tmp_path / "pid")
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    supervisor.stop()
    _, left = psutil.wait_procs([child], timeout=5)
    assert not left


def test_a_service_that_ended_is_started_again(supervisor: Supervisor, tmp_path: Path, short_pauses: None) -> None:
    ends_once = (
        "import pathlib, signal, sys\n"
        "first = pathlib.Path(sys.argv[1], 'first')\n"
        "if not first.exists(): first.touch(); sys.exit(3)\n"
        "pathlib.Path(sys.argv[1], 'second').touch(); signal.pause()\n"
    )
    supervisor.start(python("once", ends_once, str(tmp_path)))

    def stop_when_it_is_back() -> None:
        if (tmp_path / "second").exists():
            supervisor._ask_to_stop(signal.SIGTERM, None)

    assert supervisor.watch(stop_when_it_is_back) == 0
    assert "ended with status 3" in (tmp_path / "logs" / "once.log").read_text()


def test_the_system_stops_when_an_essential_service_cannot_run(supervisor: Supervisor, short_pauses: None) -> None:
    supervisor.start(python("web", "import sys; sys.exit('no such setting')"))
    assert supervisor.watch() == 1


def test_the_system_goes_on_without_mlflow(supervisor: Supervisor, tmp_path: Path, short_pauses: None) -> None:
    supervisor.start(python("web", "import signal; signal.pause()"))
    supervisor.start(python("mlflow", "import sys; sys.exit(1)", essential=False))
    log = tmp_path / "logs" / "mlflow.log"

    def stop_when_given_up() -> None:
        if log.exists() and "given up" in log.read_text():
            supervisor._ask_to_stop(signal.SIGTERM, None)

    assert supervisor.watch(stop_when_given_up) == 0


@pytest.fixture
def system(tmp_path: Path, migrated: Path) -> Iterator[System]:
    system = System(tmp_path, PORT=str(free_port()), MLFLOW_PORT=str(free_port()))
    system.take_database(migrated)
    yield system
    system.stop()


def start_up(system: System, *options: str) -> "psutil.Process":
    process = system.start("up", sys.executable, "manage.py", "up", *options)
    system.await_true(
        lambda: "Ctrl-C stops all of it" in (system.data_dir / "logs" / "up.log").read_text(), 60, "the whole system"
    )
    return psutil.Process(process.pid)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_the_system_stops_no_process_is_left(system: System, how: signal.Signals) -> None:
    """Also after kill -9 of the supervisor, where the kernel tells its children."""
    up = start_up(system, "--no-mlflow")
    family = up.children(recursive=True)
    assert {"granian", "celery"} <= {Path(part).name for member in family for part in member.cmdline()[:2]}
    up.send_signal(how)
    system.processes[-1].wait(timeout=40)
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left, [member.cmdline() for member in left]


def test_a_second_system_on_the_same_folder_is_refused(system: System) -> None:
    start_up(system, "--no-mlflow")
    second = system.manage("up", check=False)
    assert second.returncode != 0
    assert "already runs on" in second.stderr and "DATA_DIR" in second.stderr


def test_a_taken_port_is_named(system: System, tmp_path: Path, migrated: Path) -> None:
    start_up(system, "--no-mlflow")
    other = System(tmp_path / "other", PORT=system.env["PORT"])
    other.take_database(migrated)
    refused = other.manage("up", check=False)
    assert refused.returncode != 0
    assert f":{system.env['PORT']}" in refused.stderr and "PORT=" in refused.stderr


def test_a_second_worker_on_the_embedded_broker_is_refused(system: System) -> None:
    system.start_broker()
    first = system.start_worker()
    log = system.data_dir / "logs" / "worker.log"
    system.await_true(lambda: "ready" in log.read_text(), 30, "the first worker")
    second = system.start("second", str(PROGRAMS / "celery"), "--app=cataract", "worker", "--concurrency=1")
    assert second.wait(timeout=30) != 0
    assert f"A worker (process {first.pid}) already runs" in (system.data_dir / "logs" / "second.log").read_text()
    assert first.poll() is None
    kill_tree(first.pid)


def test_a_socket_path_too_long_for_the_system_is_refused(tmp_path: Path) -> None:
    system = System(tmp_path / ("x" * 100))
    refused = system.manage("up", check=False)
    assert refused.returncode != 0
    assert "shorter DATA_DIR" in refused.stderr
