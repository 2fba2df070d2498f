"""The processes of the system, observed from outside."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system import System

HEAVY = {"torch", "torchvision", "open_clip", "timm", "albumentations", "mlflow"}

PREDICT_IN_THE_WEB_PROCESS = """
import io, sys
from django.core.files.uploadedfile import SimpleUploadedFile
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from PIL import Image
from cataract.ml.synthetic import render_eye
import cataract.wsgi

user = get_user_model().objects.create_user("someone")
user.groups.add(Group.objects.get(name="screener"))
client = Client(SERVER_NAME="localhost")
client.force_login(user)
buffer = io.BytesIO()
Image.fromarray(render_eye(3)).save(buffer, "PNG")
photo = SimpleUploadedFile("eye.png", buffer.getvalue(), "image/png")
answer = client.post("/api/v1/predictions", {"photo": photo, "eye": "OD", "patient": "P-1"})
assert answer.status_code in (200, 201), (answer.status_code, answer.content)
assert answer.json()["release"], answer.content
print(*sorted(name for name in sys.modules if "." not in name))
"""


@pytest.fixture
def system(tmp_path: Path) -> System:
    system = System(tmp_path)
    system.manage("setup", "--no-static")
    return system


def test_uploading_and_predicting_load_neither_torch_nor_mlflow(system: System) -> None:
    loaded = set(system.python(PREDICT_IN_THE_WEB_PROCESS).split())
    assert "onnxruntime" in loaded and "lightgbm" in loaded
    assert not loaded & HEAVY


def test_the_core_of_the_models_imports_no_web_framework() -> None:
    code = (
        "import sys, cataract.ml.cascade.cascade, cataract.ml.photos.images\n"
        "import cataract.ml.statistics.metrics, cataract.ml.cascade.explain\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & (HEAVY | {"django", "rest_framework", "celery"})


def test_setup_prints_generated_passwords_once_and_is_quick_the_second_time(tmp_path: Path) -> None:
    system = System(tmp_path)
    first, second = system.manage("setup").stdout, system.manage("setup").stdout
    for user in ("screener", "reader", "adjudicator", "admin", "integrator", "auditor"):
        assert f"  {user} " in first
    assert "API key" in first
    assert second == ""


def test_a_missing_database_is_named_with_its_cure(tmp_path: Path) -> None:
    system = System(tmp_path)
    for command in (
        ["up"],
        ["doctor"],
        ["releases"],
        ["train"],
        ["shell", "-c", "from predictions.releases.models import *; Release.objects.count()"],
    ):
        done = system.manage(*command, check=False)
        assert done.returncode != 0
        assert re.search(r"manage.py (setup|migrate)", done.stdout + done.stderr), command
        assert "Traceback" not in done.stderr
