"""Many photos at once: each file has its outcome, nothing is stored twice, and no archive hurts."""

import csv
import io
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core import tokens
from predictions.answering.models import Prediction
from predictions.batches import worker
from predictions.batches.models import Batch, BatchItem
from predictions.photos import intake
from predictions.photos.models import EyeImage
from tests.factories import SiteFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/batches"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests are the worker."""
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *args: None)


class Sender:
    """An integrator with a key, who sends batches."""

    def __init__(self) -> None:
        self.user = UserFactory.create(roles=["integrator"])
        _, key = tokens.create_token(user=self.user, name="test", scopes=["upload", "read"], days=1)
        self.client = Client(headers={"Authorization": f"Bearer {key}"})

    def send(self, key: str = "", **fields: Any) -> Any:
        return self.client.post(URL, fields, headers={"Idempotency-Key": key} if key else {})

    def results(self, batch: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"{URL}/{batch}/results").json()["results"]
        return found


@pytest.fixture
def sender() -> Sender:
    return Sender()


def file(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file("photos.zip", buffer.getvalue())


def work(batch: str) -> None:
    while worker.run_batch(batch):
        pass


def test_files_are_taken_and_each_has_its_outcome(sender: Sender, champion: Any) -> None:
    SiteFactory.create(name="Clinic")
    photos = [file("a.jpg", jpeg_bytes(1)), file("b.jpg", jpeg_bytes(2, opacity=1.0)), file("bad.jpg", b"no photo")]
    table = file("table.csv", b"\xef\xbb\xbffile;patient;eye\na.jpg;P-1;OD\nb.jpg;P-2;left\n")
    answer = sender.send(photos=photos, table=table, site="Clinic")
    body = answer.json()
    assert answer.status_code == 202 and answer["Location"] == f"{URL}/{body['id']}"
    assert body["status"] == "running" and body["files"] == {"waiting": 3, "stored": 0, "known": 0, "refused": 0}
    work(body["id"])
    done = sender.client.get(answer["Location"]).json()
    assert done["status"] == "done" and done["files"] == {"waiting": 0, "stored": 2, "known": 0, "refused": 1}
    first, second, bad = sender.results(body["id"])
    assert (first["result"]["prediction"], second["result"]["prediction"]) == ("normal", "cataract")
    assert second["result"]["image"]["eye"] == "OS" and second["result"]["image"]["patient"] == "P-2"
    assert bad["status"] == "refused" and bad["code"] == "type_unknown" and bad["result"] is None
    assert EyeImage.objects.filter(site__name="Clinic", source="api", uploaded_by=sender.user).count() == 2


def test_one_bad_photo_of_many_and_the_same_archive_again(sender: Sender, champion: Any, settings: Any) -> None:
    files = {f"folder/{seed}.jpg": jpeg_bytes(seed, size=120) for seed in range(1, 12)}
    files |= {"folder/bad.jpg": jpeg_bytes(1)[:2000], "__MACOSX/x": b"", ".DS_Store": b""}
    first = sender.send(archive=zipped(files)).json()
    work(first["id"])
    again = sender.send(archive=zipped(files)).json()
    work(again["id"])
    counts = [sender.client.get(f"{URL}/{each['id']}").json()["files"] for each in (first, again)]
    assert counts[0] == {"waiting": 0, "stored": 11, "known": 0, "refused": 1}
    assert counts[1] == {"waiting": 0, "stored": 0, "known": 11, "refused": 1}
    assert EyeImage.objects.count() == Prediction.objects.count() == 11
    assert sender.results(again["id"])[0]["result"]["id"] == sender.results(first["id"])[0]["result"]["id"]
    assert not [path for path in Path(settings.BATCH_DIR).rglob("*") if path.is_file()]


def test_the_table_of_results_is_harmless_for_spreadsheets(sender: Sender, champion: Any) -> None:
    batch = sender.send(photos=[file("=cmd|'!A1.jpg", jpeg_bytes(1)), file("b.jpg", b"")]).json()
    work(batch["id"])
    answer: Any = sender.client.get(f"{URL}/{batch['id']}/results.csv")
    assert answer["Content-Type"].startswith("text/csv") and "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [row["status"] for row in rows] == ["stored", "refused"] and rows[1]["code"] == "file_empty"
    assert rows[0]["file"].startswith("'=") and rows[0]["prediction"] == "normal"


def test_it_stops_goes_on_and_survives_its_worker(sender: Sender, champion: Any, monkeypatch: Any) -> None:
    batch = sender.send(photos=[file(f"{seed}.jpg", jpeg_bytes(seed, size=120)) for seed in (1, 2, 3)]).json()

    def dies(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("predictions.answering.inference.answer_now", dies)
        worker.run_batch(batch["id"])
    assert sender.client.get(f"{URL}/{batch['id']}").json()["files"]["stored"] == 1
    assert not worker.run_batch(batch["id"])  # the dead worker's lease
    Batch.objects.update(lease_until=None)
    assert sender.client.post(f"{URL}/{batch['id']}/cancel").json()["status"] == "cancelled"
    assert not worker.run_batch(batch["id"])
    assert sender.client.post(f"{URL}/{batch['id']}/resume").json()["status"] == "running"
    worker.sweep()
    assert sender.client.get(f"{URL}/{batch['id']}").json()["files"]["stored"] == 3
    assert EyeImage.objects.count() == Prediction.objects.count() == 3


def test_a_late_worker_stores_nothing(sender: Sender, champion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = sender.send(photos=[file("a.jpg", jpeg_bytes(1))]).json()
    real = intake.examine

    def cancelled_meanwhile(*args: Any, **kwargs: Any) -> Any:
        Batch.objects.all().move(Batch.Status.CANCELLED)
        return real(*args, **kwargs)

    monkeypatch.setattr("predictions.photos.intake.examine", cancelled_meanwhile)
    assert not worker.run_batch(batch["id"])
    assert not EyeImage.objects.exists() and BatchItem.objects.get().status == "waiting"


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_of_the_results_runs_as_a_formula(sender: Sender, formula: str) -> None:
    batch = sender.send(photos=[file("a.jpg", b"no photo")]).json()
    BatchItem.objects.update(patient_key=formula)
    text = b"".join(sender.client.get(f"{URL}/{batch['id']}/results.csv")).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["patient"] == "'" + formula


def test_a_full_queue_makes_it_wait(sender: Sender, champion: Any, settings: Any) -> None:
    batch = sender.send(photos=[file("a.jpg", jpeg_bytes(1))]).json()
    settings.MAX_QUEUED_PREDICTIONS = 0
    assert not worker.run_batch(batch["id"])
    assert BatchItem.objects.get().status == "waiting" and not Batch.objects.free().exists()


def test_a_key_makes_a_retry_safe(sender: Sender) -> None:
    first = sender.send(key="k", photos=[file("a.jpg", jpeg_bytes(1))])
    again = sender.send(key="k", photos=[file("a.jpg", jpeg_bytes(1))])
    assert again.json()["id"] == first.json()["id"] and again["Idempotency-Replayed"] == "true"
    assert sender.send(key="k", photos=[file("a.jpg", jpeg_bytes(2))]).json()["code"] == "idempotency_key_reused"
    assert Batch.objects.count() == 1


def bomb() -> SimpleUploadedFile:
    return zipped({"a.jpg": b"\0" * 20_000_000}, zipfile.ZIP_DEFLATED)


def slip() -> SimpleUploadedFile:
    return zipped({"ok.jpg": b"x", "../../x.jpg": b"x"})


def link() -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return file("a.zip", buffer.getvalue())


def encrypted() -> SimpleUploadedFile:
    data = bytearray(zipped({"a.jpg": b"x"}).read())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    return file("a.zip", bytes(data))


def overlapping() -> SimpleUploadedFile:
    data = bytearray(zipped({"a.jpg": b"x" * 100, "b.jpg": b"y" * 100}).read())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = struct.pack("<L", 0)
    return file("a.zip", bytes(data))


def many() -> SimpleUploadedFile:
    return zipped({f"{number}.jpg": b"" for number in range(10_001)})


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        pytest.param(bomb, 413, "archive_too_large", id="B77"),
        pytest.param(many, 413, "too_many_files", id="B79"),
        pytest.param(slip, 422, "bad_entry_path", id="B80"),
        pytest.param(link, 422, "archive_symlink", id="B81-symlink"),
        pytest.param(encrypted, 422, "archive_encrypted", id="B81-encrypted"),
        pytest.param(lambda: zipped({"a.zip": b"x"}), 422, "archive_nested", id="B81-nested"),
        pytest.param(overlapping, 422, "archive_overlap", id="B81-overlap"),
        pytest.param(lambda: zipped({"a.jpg": b"x"}, zipfile.ZIP_LZMA), 422, "archive_method", id="lzma"),
        pytest.param(lambda: file("a.zip", os.urandom(5000)), 415, "archive_unknown", id="noise"),
        pytest.param(lambda: zipped({}), 422, "archive_empty", id="empty"),
    ],
)
def test_hostile_archives_are_refused_whole(sender: Sender, settings: Any, make: Any, status: int, code: str) -> None:
    answer = sender.send(archive=make())
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert answer["Content-Type"] == "application/problem+json" and not Batch.objects.exists()
    assert not [path for path in Path(settings.BATCH_DIR).rglob("*") if path.is_file()]


def test_a_header_that_lies_is_found_while_reading(sender: Sender, settings: Any) -> None:
    """B78: the directory promises 10 bytes, the data holds more; nothing beyond the promise is unpacked."""
    data = bytearray(zipped({"a.jpg": jpeg_bytes(1)}, zipfile.ZIP_DEFLATED).read())
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<L", 10)
    batch = sender.send(archive=file("a.zip", bytes(data))).json()
    work(batch["id"])
    (result,) = sender.results(batch["id"])
    assert (result["status"], result["code"]) == ("refused", "entry_corrupt")


def test_a_photo_over_the_limit_is_one_refused_file(sender: Sender, champion: Any, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 30_000
    files = {"large.jpg": jpeg_bytes(1) + b"\0" * 40_000, "small.jpg": jpeg_bytes(2, size=120)}
    batch = sender.send(archive=zipped(files)).json()
    work(batch["id"])
    assert [result["code"] for result in sender.results(batch["id"])] == ["file_too_large", ""]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (b"file,patient,eye\na.jpg,P-1,middle\n", "row 2"),
        (b"file,patient\na.jpg,Anna Smith\n", "row 2"),
        (b"file\na.jpg\na.jpg\n", "row 3"),
        (b"file,captured_at\na.jpg,2099-01-01\n", "row 2"),
        (b"file\nother.jpg\n", "other.jpg"),
    ],
)
def test_a_wrong_table_names_its_rows(sender: Sender, table: bytes, row: str) -> None:
    answer = sender.send(photos=[file("a.jpg", jpeg_bytes(1))], table=file("t.csv", table))
    assert answer.status_code == 422 and answer.json()["code"] == "table_invalid" and row in answer.json()["errors"]
    assert not Batch.objects.exists()


def test_a_table_of_a_million_rows_is_refused(sender: Sender) -> None:
    table = file("t.csv", b"file\n" + b"a\n" * 1_000_000)
    assert sender.send(photos=[file("a.jpg", b"x")], table=table).json()["code"] == "table_invalid"


def test_what_was_sent_wrongly(sender: Sender, settings: Any) -> None:
    many = [file(f"{number}.jpg", b"x") for number in range(101)]
    settings.MAX_BATCH_BYTES = 50_000
    cases = [
        (sender.send(), 400, "file_required"),
        (sender.send(photos=many), 413, "too_many_files"),
        (sender.send(photos=[file("a.jpg", b"x")], archive=zipped({"a.jpg": b"x"})), 400, "file_required"),
        (sender.send(photos=[file("a.jpg", b"x")], eye="middle"), 422, "invalid"),
        (sender.send(photos=[file("a.jpg", b"x" * 60_000)]), 413, "batch_too_large"),
    ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert not Batch.objects.exists()


def test_a_batch_is_its_senders_business(sender: Sender) -> None:
    batch = sender.send(photos=[file("a.jpg", jpeg_bytes(1))]).json()
    other = Sender()
    for address in ("", "/results", "/results.csv"):
        assert other.client.get(f"{URL}/{batch['id']}{address}").status_code == 404
    assert other.client.post(f"{URL}/{batch['id']}/cancel").status_code == 404
    assert other.client.get(URL).json()["results"] == []


def test_memory_holds_one_file_at_a_time(sender: Sender, champion: Any) -> None:
    """A hundred files of 1 MB in one archive: the peak stays near one file's, not near all of theirs."""
    photo = jpeg_bytes(1, size=64)
    files = {f"{number}.jpg": photo[:-2] + os.urandom(1_000_000) for number in range(100)}
    batch = sender.send(archive=zipped(files)).json()
    tracemalloc.start()
    work(batch["id"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000 and sender.client.get(f"{URL}/{batch['id']}").json()["status"] == "done"
