"""A power cut at any moment of an upload: the photo is stored completely or not at all, and a retry repairs it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cataract.core.failpoints import POINTS
from tests.factories import jpeg_bytes
from tests.system import BASE_DIR, System

UPLOAD = """
from pathlib import Path
from predictions.answering import services
from predictions.answering.errors import DuplicatePhoto
from predictions.photos.facts import PhotoFacts
try:
    services.upload_photo(data=Path({path!r}).read_bytes(), user=None, source="api", facts=PhotoFacts("P-1", "OD"))
except DuplicatePhoto:
    pass
"""
COUNT = """
from django.db.models import F
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.models import EyeImage
images = list(EyeImage.objects.all())
intact = all(storage.path(image.stored_name).stat().st_size == image.size for image in images)
print(len(images), Prediction.objects.count(), intact)
"""
RECOVER = """
from predictions.answering import worker
from predictions.answering.models import Prediction
Prediction.objects.filter(status="queued").update(lease_until="2020-01-01T00:00:00Z")
worker.sweep()
print(*Prediction.objects.values_list("status", flat=True))
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sent") / "eye.jpg"
    path.write_bytes(jpeg_bytes(1))
    return path


@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("upload.")])
def test_a_crash_leaves_all_or_nothing(point: str, photo: Path, tmp_path: Path, migrated: Path) -> None:
    system = System(tmp_path, FAULT_INJECTION="1")
    system.take_database(migrated)
    upload = "import django; django.setup()\n" + UPLOAD.format(path=str(photo))
    killed = subprocess.run(
        [sys.executable, "-c", upload],
        cwd=BASE_DIR,
        env={**system.env, "FAILPOINT": point},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    stored = "1 1 True" if point == "upload.after_commit" else "0 0 True"
    assert system.python(COUNT) == stored
    system.python(UPLOAD.format(path=str(photo)))
    assert system.python(COUNT) == "1 1 True"
    assert system.python(RECOVER) == "done"
