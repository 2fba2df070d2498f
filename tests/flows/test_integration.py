"""An integration as an outsider would write it: the program in docs/api.md, the client, a key, nothing else.

Real web server, broker and worker; the outsider's program runs in a separate process that knows only addresses.
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.factories import jpeg_bytes
from tests.services import free_port
from tests.system import BASE_DIR, System

DOCUMENT = BASE_DIR / "docs" / "api.md"


class Installation:
    """A running system: its address and the key that `manage.py setup` printed."""

    def __init__(self, folder: Path, port: int, static_files: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.system = System(folder, PORT=str(port), STATIC_ROOT=str(static_files), WEBHOOK_ALLOW_PRIVATE="1")
        printed = self.system.manage("setup", "--no-static").stdout
        found = re.search(r"cat_\S+", printed)
        assert found, printed
        self.key = found[0]
        self.system.start_broker()
        self.system.start_worker()
        self.system.start_web(port)
        self.system.await_true(self._answers, 60, "the web server")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/api/v1/health/live", timeout=2).ok
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, static_files: Path) -> Iterator[Installation]:
    found = Installation(tmp_path_factory.mktemp("installation"), free_port(), static_files)
    try:
        yield found
    finally:
        found.system.stop()


@pytest.fixture
def outsider(tmp_path: Path) -> Path:
    """A folder with the client and a photo, away from this repository."""
    shutil.copy(BASE_DIR / "clients" / "cataract_client.py", tmp_path)
    (tmp_path / "eye.jpg").write_bytes(jpeg_bytes(7, opacity=1.0))
    return tmp_path


def run(folder: Path, installation: Installation, *command: str, **env: str) -> Any:
    """What a program of the outsider prints, as JSON."""
    known = {"PATH": os.environ["PATH"], "CATARACT_URL": installation.address, "CATARACT_KEY": installation.key}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**known, **env}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{installation.system.log_tails()}"
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_program_in_the_documents_works_as_it_stands(installation: Installation, outsider: Path) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split("## The whole integration")[1]
    program = section.split("```python\n")[1].split("```")[0]
    (outsider / "integration.py").write_text(program, encoding="utf-8")
    port = free_port()
    receiver = {"RECEIVER_PORT": str(port), "RECEIVER_URL": f"http://127.0.0.1:{port}/"}
    result = run(outsider, installation, "integration.py", "eye.jpg", **receiver)
    assert result["status"] == "done" and result["prediction"] in ("cataract", "normal", "ungradable")
    assert result["image"]["patient"] == "P-1" and "Not a diagnosis" in result["intended_use"]

    again = run(outsider, installation, "cataract_client.py", "result", result["id"])
    assert again["id"] == result["id"]
    state = run(outsider, installation, "cataract_client.py", "system")
    assert state["queues"] is not None and state["workers"] and state["milliseconds"]["p50"] > 0


PROJECT = {
    "manage.py": """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "hospital.settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "hospital/settings.py": """
import os
SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF = "of the hospital", ["127.0.0.1"], "hospital.urls"
INSTALLED_APPS, DEFAULT_AUTO_FIELD, USE_TZ = ["clinic"], "django.db.models.BigAutoField", True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "hospital.sqlite3"}}
CATARACT_URL, CATARACT_KEY = os.environ["CATARACT_URL"], os.environ["CATARACT_KEY"]
CATARACT_SECRET = os.environ.get("CATARACT_SECRET", "")
""",
    "hospital/urls.py": """
from clinic.screening import receive
from django.urls import path
urlpatterns = [path("told/", receive)]
""",
    "clinic/models.py": """
from django.db import models
class Exam(models.Model):
    photo, patient, eye = models.TextField(), models.TextField(), models.TextField()
    prediction, answer = models.TextField(default=""), models.TextField(default="")
""",
}
SEND = """
from clinic.models import Exam
from clinic.screening import client, send
exam = Exam.objects.create(photo="eye.jpg", patient="P-77", eye="OS")
send(exam)
send(exam)
exam.refresh_from_db()
final = client.wait(exam.prediction)["final_result"]
print(final["answer"] if final else "clinician review pending")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_another_django_project_sends_polls_and_is_told(installation: Installation, outsider: Path) -> None:
    """An integrator's project: the code of the document, a model, a URL, its own server and database."""
    section = DOCUMENT.read_text(encoding="utf-8").split("## In a Django project")[1]
    files = PROJECT | {"clinic/screening.py": section.split("```python\n")[1].split("```")[0]}
    for name, text in (files | {"clinic/__init__.py": "", "hospital/__init__.py": ""}).items():
        (outsider / name).parent.mkdir(exist_ok=True)
        (outsider / name).write_text(text, encoding="utf-8")
    (outsider / "eye.jpg").write_bytes(jpeg_bytes(77, opacity=1.0))
    port = free_port()
    add = f"""
import json, os
from cataract_client import Client
client = Client(os.environ["CATARACT_URL"], os.environ["CATARACT_KEY"])
print(json.dumps(client.add_webhook("http://127.0.0.1:{port}/told/", ["prediction.finished"])["secret"]))
"""
    env = {
        "PATH": os.environ["PATH"],
        "CATARACT_URL": installation.address,
        "CATARACT_KEY": installation.key,
        "CATARACT_SECRET": run(outsider, installation, "-c", add),
    }

    def manage(*words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=outsider, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    manage("migrate", "--run-syncdb", "--verbosity=0")
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (outsider / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=outsider, env=env, stdout=log, stderr=log)
    try:
        forged = f"http://127.0.0.1:{port}/told/"
        installation.system.await_true(lambda: _status_of(forged) == 400, 60, "the server of the other project")
        polled = manage("shell", "--verbosity=0", "-c", SEND)
        with contextlib.closing(sqlite3.connect(outsider / "hospital.sqlite3", timeout=30)) as database:
            query = "SELECT answer, patient FROM clinic_exam WHERE answer <> ''"
            installation.system.await_true(lambda: database.execute(query).fetchall(), 60, "the webhook")
            assert database.execute(query).fetchall() == [(polled, "P-77")]
    finally:
        server.kill()
        server.wait()


def _status_of(url: str) -> int:
    """The status for an unsigned message; 0 when there is no answer."""
    try:
        return requests.post(url, data=b"{}", timeout=5).status_code
    except requests.RequestException:
        return 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_batch_from_the_command_line(installation: Installation, outsider: Path) -> None:
    for seed in (11, 12, 13):
        (outsider / f"{seed}.jpg").write_bytes(jpeg_bytes(seed, size=160))
    (outsider / "table.csv").write_text("file,patient,eye\n11.jpg,P-11,OD\n12.jpg,P-12,OS\n")
    photos = ["11.jpg", "12.jpg", "13.jpg"]
    code = (
        "import json, os\nfrom cataract_client import Client\n"
        "client = Client(os.environ['CATARACT_URL'], os.environ['CATARACT_KEY'])\n"
        f"batch = client.upload_batch({photos!r}, table='table.csv')\n"
        "done = client.wait_batch(batch['id'], seconds=90)\n"
        "print(json.dumps([done, list(client.batch_results(batch['id']))]))"
    )
    done, results = run(outsider, installation, "-c", code)
    assert done["status"] == "done" and done["files"]["stored"] == 3
    assert [row["patient"] for row in results] == ["P-11", "P-12", ""]


def test_every_route_of_the_schema_stands_in_the_document() -> None:
    """The document names every call of the API."""
    from predictions.api_urls import urlpatterns as of_predictions
    from review.api_urls import urlpatterns as of_review
    from training.api_urls import urlpatterns as of_training

    text = DOCUMENT.read_text(encoding="utf-8")
    for pattern in (*of_predictions, *of_review, *of_training):
        route = re.sub(r"<[^>]*>", "$ID", str(pattern.pattern))
        assert route.rstrip("/") in text, f"{route} is not described in docs/api.md"
