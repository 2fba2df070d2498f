"""A wheel of this project holds all that it needs, and runs where there is no checkout."""

import os
import shutil
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from tests.services import free_port

BASE_DIR = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip wheel .` builds of the tracked files; the checkout gets no build folder."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=BASE_DIR, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and not name.startswith(("tests/", "docs/")) and (BASE_DIR / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(BASE_DIR / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", f"-w{out}", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_it_holds_every_file_that_a_running_system_reads(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(["git", "ls-files"], cwd=BASE_DIR, capture_output=True, text=True, check=True)
    tracked = [name for name in listed.stdout.splitlines() if (BASE_DIR / name).is_file()]
    code = [
        name for name in tracked if name.startswith(("cataract/", "clients/", "predictions/", "review/", "training/"))
    ]
    pages = [f"cataract/files/{name}" for name in tracked if name.startswith(("templates/", "static/"))]
    assert len(code) > 300 and len(pages) > 100
    assert sorted({*code, *pages} - inside) == []
    assert not [name for name in inside if name.startswith(("tests/", "docs/"))]
    entry = next(name for name in inside if name.endswith("entry_points.txt"))
    assert b"cataract = cataract.__main__:main" in zipfile.ZipFile(wheel).read(entry)


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_it_runs_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """In a bare environment that borrows only the requirements, and in a folder that holds nothing."""
    venv.create(tmp_path / "venv", with_pip=False)
    packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    borrowed = next(Path(name) for name in sys.path if name.endswith("site-packages"))
    (packages / "requirements.pth").write_text(f"{borrowed}\n")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--prefix={tmp_path / 'venv'}"]
    subprocess.run([*install, str(wheel)], check=True)
    programs = tmp_path / "venv" / "bin"
    for name in ("granian", "celery", "mlflow"):
        shutil.copy(Path(sys.executable).parent / name, programs / name)
    port, work = free_port(), tmp_path / "work"
    work.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATA", "TEST", "DJANGO"))}
    environment = {**kept, "PORT": str(port), "PYTHONNOUSERSITE": "1"}
    program = str(programs / "cataract")
    place = [str(programs / "python"), "-c", "import cataract; print(cataract.__path__[0])"]
    found = subprocess.run(place, cwd=work, env=environment, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) in found, "it is the wheel's"
    process = subprocess.Popen([program, "up", "--setup", "--no-mlflow"], cwd=work, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                page = urllib.request.urlopen(f"{address}/accounts/login/", timeout=5).read().decode()
                break
            except OSError:
                assert process.poll() is None
                subprocess.run(["sleep", "0.5"], check=True)
        assert "Log in" in page
        style = page.partition('href="/static/css/tokens')[2].partition('"')[0]
        assert urllib.request.urlopen(f"{address}/static/css/tokens{style}", timeout=5).status == 200
        done = subprocess.run(
            [program, "doctor"], cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        assert "gives its golden predictions" in done.stdout, done.stdout + done.stderr
        assert (work / "data" / "db.sqlite3").is_file(), "state lies in the working directory"
    finally:
        process.terminate()
        process.wait(timeout=60)
