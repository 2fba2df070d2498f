"""S3_BUCKET: photos, releases and batches in an object store, against moto's server, over HTTP in its own process."""

import io
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from django.core.management import call_command

from cataract.core import shared
from cataract.core.errors import StorageUnavailable
from cataract.ml.release.manifest import ReleaseCorrupt
from cataract.ops import doctor
from predictions.answering import services, worker
from predictions.answering.models import FinalResult, Prediction
from predictions.batches import worker as batch_worker
from predictions.batches.models import Batch
from predictions.photos import derivatives, storage
from predictions.photos.models import EyeImage
from predictions.releases import serving, store
from predictions.releases.models import Release
from tests.factories import jpeg_bytes
from tests.predictions.test_batches import Sender, file, zipped
from tests.record import lifted
from tests.services import free_port

pytestmark = pytest.mark.django_db(transaction=True)
BUCKET = "eyes"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3-compatible server."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=2)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


class Bucket:
    """What lies in the store, and the means to break it."""

    def __init__(self, address: str, settings: Any) -> None:
        self._settings = settings
        self.client = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
        self.client.create_bucket(Bucket=BUCKET)
        self.point_at(address)

    def point_at(self, address: str, bucket: str = BUCKET) -> None:
        config = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1})
        options = {"bucket_name": bucket, "endpoint_url": address, "location": "one", "client_config": config}
        s3 = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**options, "region_name": "us-east-1"}}
        self._settings.S3_BUCKET = bucket
        self._settings.STORAGES = {**self._settings.STORAGES, "shared": s3}

    def names(self, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"one/{prefix}").get("Contents", [])
        return [entry["Key"].removeprefix("one/") for entry in found]

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"one/{name}", Body=data)

    def empty(self) -> None:
        for name in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=f"one/{name}")


@pytest.fixture
def bucket(server: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    found = Bucket(server, settings)
    yield found
    found.empty()


@pytest.fixture
def champion(bucket: Bucket, champion: Any) -> Any:
    """The champion of other tests, registered with the object store."""
    return champion


def send(seed: int = 1) -> Prediction:
    return services.upload_photo(data=jpeg_bytes(seed), user=None, source="api")


def local_files(folder: Path) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def test_a_photo_lies_in_the_bucket_and_nowhere_else(bucket: Bucket, champion: Any, settings: Any) -> None:
    row = send()
    assert row.status == "done"
    assert bucket.names("photos") == [f"photos/{row.image.stored_name}"]
    assert not local_files(settings.PHOTO_DIR)
    assert derivatives.derivative_of(row.image, "thumb")[:2] == b"\xff\xd8"
    assert any(name.startswith("photos/derived/") for name in bucket.names("photos"))
    with lifted():
        FinalResult.objects.all().delete()
        Prediction.objects.filter(pk=row.pk).update(
            status="queued", attempts=0, decision="", release=None, done_at=None
        )
    assert worker.run_prediction(row.pk)  # on another host: it has only the bucket
    again = Prediction.objects.get(pk=row.pk)
    assert again.decision == row.decision and again.probability == pytest.approx(row.probability, abs=1e-6)


@pytest.mark.parametrize("how", ["nobody listens", "no such bucket"])
def test_a_store_that_fails_takes_nothing(
    bucket: Bucket, server: str, champion: Any, sender: Sender, settings: Any, how: str
) -> None:
    if how == "nobody listens":
        bucket.point_at(f"http://127.0.0.1:{free_port()}")
    else:
        bucket.point_at(server, "other")
    photo = {"eye": "OD", "photo": file("eye.jpg", jpeg_bytes())}
    single = sender.client.post("/api/v1/predictions", photo)
    batch = sender.send(photos=[file("eye.jpg", jpeg_bytes())])
    for reply in (single, batch):
        assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable"), reply.content
        assert "Nothing was saved" in reply.json()["detail"] and reply.headers["Retry-After"]
    assert not EyeImage.objects.exists() and not Batch.objects.exists()
    bucket.point_at(server)
    assert not bucket.names("photos") and not bucket.names("batches") and not local_files(settings.BATCH_DIR)
    again = sender.client.post("/api/v1/predictions", {"eye": "OD", "photo": file("eye.jpg", jpeg_bytes())})
    assert again.status_code == 201


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Sender:
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *args: None)
    return Sender()


def test_a_host_fetches_a_release_and_verifies_it(bucket: Bucket, champion: Any, settings: Any) -> None:
    folder = Path(settings.RELEASE_DIR) / champion.pk
    assert {path.name for path in folder.iterdir()} == {name.split("/")[2] for name in bucket.names("releases")}
    for harm in (lambda: shutil.rmtree(folder), lambda: (folder / "fast.txt").write_text("damaged")):
        harm()
        serving.load_verified(champion.pk, champion.manifest_sha256).check_golden()
        assert store.folder_of(champion) == folder and (folder / "manifest.json").exists()
    bucket.put(f"releases/{champion.pk}/fast.txt", b"damaged")
    shutil.rmtree(folder)
    with pytest.raises(ReleaseCorrupt):
        serving.load_verified(champion.pk, champion.manifest_sha256)
    assert not folder.exists() and not list(folder.parent.glob(".tmp-*"))


def test_a_release_that_cannot_be_shared_is_not_registered(bucket: Bucket, tiny_release: Path) -> None:
    bucket.point_at(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageUnavailable):
        store.register_release(folder=tiny_release)
    assert not Release.objects.exists()


@pytest.mark.parametrize("archive", [False, True])
def test_a_batch_is_taken_here_and_worked_on_there(
    bucket: Bucket, champion: Any, sender: Sender, settings: Any, archive: bool
) -> None:
    photos = {f"{seed}.jpg": jpeg_bytes(seed) for seed in (1, 2)}
    sent = {"archive": zipped(photos)} if archive else {"photos": [file(*each) for each in photos.items()]}
    reply = sender.send(**sent)
    assert reply.status_code == 202, reply.content
    assert len(bucket.names("batches")) == (1 if archive else 2)
    shutil.rmtree(settings.BATCH_DIR)  # another host
    batch_worker.run_batch(reply.json()["id"])
    assert {item["status"] for item in sender.results(reply.json()["id"])} == {"stored"}
    assert not bucket.names("batches") and not local_files(settings.BATCH_DIR)
    assert len(bucket.names("photos")) == 2


def test_what_is_erased_is_gone_from_the_bucket_and_from_copies(bucket: Bucket, champion: Any, settings: Any) -> None:
    first, second = send(1), send(2)
    for row in (first, second):
        derivatives.derivative_of(row.image, "view")
    names = [first.image.stored_name, second.image.stored_name, "ab/missing.jpg"]
    paths = storage.local_paths(names)
    assert [path.exists() for path in paths] == [True, True, False]
    assert paths[0].read_bytes() == storage.read(names[0])
    storage.erase(names[0])
    storage.erase(names[0])
    assert not paths[0].exists() and len(bucket.names("photos")) == 2
    with pytest.raises(FileNotFoundError):
        storage.read(names[0])
    settings.TRAINING_MAX_HOURS = -1  # the copies of earlier trainings are old
    storage.local_paths([])
    assert not local_files(settings.DATA_DIR / "copies")


def test_doctor_finds_what_is_wrong_in_the_bucket(bucket: Bucket, champion: Any, monkeypatch: Any) -> None:
    row = send()
    assert [finding.level for finding in doctor.check_photos(lambda _: None)] == ["ok"]
    stray = "ab/" + "ab" * 32 + ".jpg"
    bucket.put(f"photos/{stray}", b"?")
    monkeypatch.setattr("predictions.photos.storage.time.time", lambda: time.monotonic() + 1e10)
    [note] = doctor.check_stray_files()
    assert stray in note.message and BUCKET in note.message
    bucket.put(f"photos/{row.image.stored_name}", b"changed")
    assert "has changed" in next(doctor.check_photos(lambda _: None)).message
    shared.delete(f"photos/{row.image.stored_name}")
    assert "cannot be read" in next(doctor.check_photos(lambda _: None)).message


def test_labels_are_exported_with_photos_of_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    from tests.training.makers import label_photos

    [label, *_] = label_photos(2)
    out = tmp_path / "export"
    call_command("export_labels", str(out), format="folder", stdout=io.StringIO())
    exported = {path.read_bytes() for path in local_files(out)}
    assert storage.read(label.image.stored_name) in exported


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "ab/../../x"])
def test_no_name_leaves_the_folder_of_photos(bucket: Bucket, name: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        storage.read(name)
