"""Promotions while photos come in: no error, and each answer names the release that computed it.

Real processes on one system: a web server of two, one that works as the Celery worker does, and one that promotes.
"""

import io
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.factories import jpeg_bytes
from tests.services import free_port
from tests.system import BASE_DIR, PROGRAMS, System

PROMOTIONS = int(os.environ.get("PROMOTIONS", "60"))  # `make faults` asks for more
SENDERS = 3

PREPARE = """
import json
from pathlib import Path
from django.conf import settings
from cataract.core.tokens import create_token
from predictions.releases.services import make_champion
from predictions.releases.store import register_release
from tests.factories import UserFactory
from tests.releases import make_tiny_release

folder = Path(settings.DATA_DIR) / "made"
made = [register_release(folder=make_tiny_release(folder / str(s), seed=s, name=f"r{s}")) for s in (0, 7)]
make_champion(release=made[0], user=None, reason="the first")
key = create_token(user=UserFactory.create(roles=["integrator"]), name="load", scopes=["upload"], days=1)[1]
print(json.dumps({"key": key, "releases": [release.pk for release in made]}))
"""
PROMOTE = f"""
from predictions.releases.models import Release
from predictions.releases.services import make_champion
for number in range({PROMOTIONS}):
    challenger = Release.objects.exclude(status="champion").get()
    make_champion(release=challenger, user=None, reason=f"promotion {{number}}")
print(Release.objects.get(status="champion").pk)
"""
# What the Celery task does, in a process of its own, for as long as the promotions go on.
WORK = """
import itertools, time
from pathlib import Path
from django.conf import settings
from predictions.answering.worker import run_prediction
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
stop, done = Path(settings.DATA_DIR) / "stop", 0
while not stop.exists():
    for image in EyeImage.objects.all()[:4]:
        done += run_prediction(Prediction.objects.create(image=image).pk)
    time.sleep(0.02)
print(done)
"""
CHECK = """
import json
from functools import cache
from cataract.ml.photos.images import decode
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving
from predictions.releases.models import Promotion, Release

@cache
def score(release, stored_name):
    cascade = serving.load(Release.objects.get(pk=release))
    return cascade.predict([decode(storage.read(stored_name))])[0].fast_score

wrong, releases = [], list(Release.objects.values_list("pk", flat=True))
for row in Prediction.objects.select_related("image"):
    if row.status != "done" or abs(row.fast_score - score(row.release_id, row.image.stored_name)) > 1e-6:
        wrong.append([str(row.pk), row.status, row.release_id, row.error])
print(json.dumps({
    "wrong": wrong,
    "promotions": Promotion.objects.count(),
    "champions": Release.objects.filter(status="champion").count(),
    "answers": {pk: Prediction.objects.filter(release=pk).count() for pk in releases},
    "indistinguishable": [
        image.stored_name
        for image in EyeImage.objects.all()
        if len({round(score(pk, image.stored_name), 4) for pk in releases}) < 2
    ],
}))
"""


@pytest.fixture
def system(tmp_path: Path, migrated: Path) -> Iterator[System]:
    system = System(tmp_path / "data", DECODER_PROCESSES="0", RATE_UPLOAD="100000/min", RATE_WRITE="100000/min")
    system.take_database(migrated)
    yield system
    system.stop()


@pytest.mark.fault
def test_promotions_under_load(system: System) -> None:
    made = json.loads(system.python(PREPARE).splitlines()[-1])
    port = free_port()
    web = [str(PROGRAMS / "granian"), "--interface=wsgi", f"--port={port}", "--workers=2", "--blocking-threads=4"]
    system.start("web", *web, "cataract.wsgi:application", PORT=str(port))
    photos = [jpeg_bytes(seed, opacity=float(seed % 2), size=160) for seed in range(8)]
    send = Sender(port, made["key"], photos)
    system.await_true(send.is_answered, 60, "the web server")
    promoter, worker = _python(system, PROMOTE), _python(system, WORK)
    threads = [threading.Thread(target=send.until, args=(promoter,)) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    said, trouble = promoter.communicate(timeout=240)
    assert promoter.returncode == 0, trouble
    champion = said.split()[-1]
    assert {send.one() for _ in range(20)} == {champion}, (
        "every process serves the last release at once; 5 s are allowed"
    )
    for thread in threads:
        thread.join()
    (system.data_dir / "stop").touch()
    done, trouble = worker.communicate(timeout=60)
    assert worker.returncode == 0, trouble
    found = json.loads(system.python(CHECK).splitlines()[-1])
    assert not send.errors and not found["wrong"], (send.errors[:3], found["wrong"][:3])
    assert (found["promotions"], found["champions"]) == (PROMOTIONS + 1, 1)
    assert not found["indistinguishable"], "the scores must tell the two releases apart"
    assert min(found["answers"].values()) > 20 and int(done) > 10, "both releases answered, in both kinds of process"


class Sender:
    """Sends photos and notes every answer that is not a result of a known release."""

    def __init__(self, port: int, key: str, photos: list[bytes]) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1/predictions"
        self.headers = {"Authorization": f"Bearer {key}"}
        self.photos = itertools.cycle(photos)
        self.lock = threading.Lock()
        self.errors: list[Any] = []

    def is_answered(self) -> bool:
        try:
            return self.one() is not None
        except requests.ConnectionError:
            return False

    def one(self) -> str | None:
        """The release that one photo's answer names."""
        with self.lock:
            photo = next(self.photos)
        files = {"photo": ("eye.jpg", io.BytesIO(photo), "image/jpeg")}
        answer = requests.post(
            self.url, files=files, data={"eye": "OD", "send_anyway": "1"}, headers=self.headers, timeout=60
        )
        if answer.status_code != 201:
            self.errors.append((answer.status_code, answer.text[:300]))
            return None
        release: str = answer.json()["release"]
        return release

    def until(self, process: "subprocess.Popen[str]") -> None:
        while process.poll() is None:
            try:
                self.one()
            except requests.RequestException as error:
                self.errors.append(repr(error))


def _python(system: System, code: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "import django; django.setup()\n" + code]
    return subprocess.Popen(
        command, cwd=BASE_DIR, env=system.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
