"""Archives as macOS, Windows and programs write them: their table inside, names in any code page, Zip64."""

import io
import struct
import unicodedata
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core import tokens
from predictions.batches import worker
from predictions.batches.models import Batch, BatchItem
from predictions.photos.models import EyeImage
from tests.factories import UserFactory, jpeg_bytes

URL = "/api/v1/batches"
PHOTO, OTHER = jpeg_bytes(1, size=120), jpeg_bytes(2, size=120)


@pytest.fixture
def client(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An integrator with a key; the tests are the worker."""
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *args: None)
    user = UserFactory.create(roles=["integrator"])
    _, key = tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def zipped(files: dict[str | bytes, bytes]) -> bytes:
    """A ZIP; a name in bytes is written as it is, without the flag that says that names are UTF-8."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for place, (name, data) in enumerate(files.items()):
            archive.writestr(name if isinstance(name, str) else _placeholder(place, name), data)
    raw = buffer.getvalue()
    for place, name in enumerate(files):
        if isinstance(name, bytes):
            raw = raw.replace(_placeholder(place, name).encode(), name)
    return raw


def _placeholder(place: int, name: bytes) -> str:
    return f"{place:02}".ljust(len(name), "~")


def send(client: Client, archive: bytes, table: str = "", **fields: Any) -> Any:
    extra = {"table": SimpleUploadedFile("t.csv", table.encode())} if table else {}
    return client.post(URL, {"archive": SimpleUploadedFile("photos.zip", archive), **extra, **fields})


# The table inside -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["photos.csv", "list/PHOTOS.CSV"])
def test_the_table_inside_is_used_and_is_no_photo(client: Client, champion: Any, name: str) -> None:
    table = b"\xef\xbb\xbfsep=;\r\nfile;patient;eye;may_train\r\na.jpg;P-1;OD;no\r\n;;;\r\n"
    junk: dict[str | bytes, bytes] = {"__MACOSX/._photos.csv": b"x", "list/.~lock.photos.csv": b"x", "Thumbs.db": b"x"}
    batch = send(client, zipped({"a.jpg": PHOTO, name: table, **junk})).json()
    assert batch["total"] == 1
    worker.run_batch(batch["id"])
    image = EyeImage.objects.get()
    assert (image.patient_key, image.eye, image.may_train) == ("P-1", "OD", False)


@pytest.mark.parametrize(
    ("files", "table", "code", "words"),
    [
        ({"a.jpg": PHOTO, "x.csv": b"file\n", "y.csv": b"file\n"}, "", "several_tables", "2 tables: x.csv, y.csv"),
        ({"a.jpg": PHOTO, "x.csv": b"file\n"}, "file\na.jpg\n", "table_invalid", "contains a table too"),
        ({"x.csv": b"file\n"}, "", "archive_empty", "no photo"),
        ({"a.jpg": PHOTO, "x.csv": b"file,may train\na.jpg,no\n"}, "", "table_invalid", "may train"),
        ({"a.jpg": PHOTO, "x.csv": b"file\nb.jpg\n"}, "", "table_invalid", "b.jpg"),
        ({"a.jpg": PHOTO, "x.csv": b"file\n" + b"\n" * 5_000_000}, "", "table_invalid", "5 MB"),
    ],
)
def test_a_table_inside_that_does_not_fit_is_refused_in_words(
    client: Client, files: Any, table: str, code: str, words: str
) -> None:
    answer = send(client, zipped(files), table)
    assert (answer.status_code, answer.json()["code"]) == (422, code) and words in answer.json()["detail"]
    assert not Batch.objects.exists()


# Names ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("entry", "row", "shown"),
    [
        ("OD\\a.jpg", "a.jpg", "OD/a.jpg"),
        ("OD\\a.jpg", "OD/a.jpg", "OD/a.jpg"),
        ("OD/a.jpg", "OD\\a.jpg", "OD/a.jpg"),
        (unicodedata.normalize("NFD", "M\u00fcller \u00e91.jpg"), "M\u00fcller \u00e91.jpg", "M\u00fcller \u00e91.jpg"),
        *(
            (name.encode(page), name, name)
            for page, name in (
                ("cp437", "M\u00fcller.jpg"),
                ("cp850", "\u00d8stg\u00e5rd.jpg"),
                ("cp1252", "M\u00fcller.jpg"),
                ("cp852", "\u0141\u00f3d\u017a.jpg"),
                ("cp866", "\u0418\u0432\u0430\u043d\u043e\u0432.jpg"),
                ("cp1251", "\u0418\u0432\u0430\u043d\u043e\u0432.jpg"),
                ("cp737", "\u0391\u03bd\u03bd\u03b1.jpg"),
                ("cp932", "\u8868\u773c.jpg"),  # the second byte of its first letter is a backslash
                ("gbk", "\u53f3\u773c.jpg"),
                ("cp949", "\ub208.jpg"),
                ("utf-8", "M\u00fcller \u53f3.jpg"),  # without the flag
            )
        ),
    ],
)
def test_a_row_finds_its_photo_as_the_user_sees_it(client: Client, entry: Any, row: str, shown: str) -> None:
    table = f"file,patient\n{row},P-1\nb.jpg,P-2\n"
    answer = send(client, zipped({entry: PHOTO, "b.jpg": OTHER}), table)
    assert answer.status_code == 202, answer.json()
    found = list(BatchItem.objects.order_by("position").values_list("name", "patient_key"))
    assert found == [(shown, "P-1"), ("b.jpg", "P-2")]


def test_a_name_in_an_unknown_code_page_still_needs_a_row_of_its_own(client: Client) -> None:
    archive = zipped({"M\u00fcller.jpg".encode("cp850"): PHOTO})
    assert "M\u00f6ller.jpg" in send(client, archive, "file\nM\u00f6ller.jpg\n").json()["errors"]


def test_a_folder_made_on_windows_is_no_photo(client: Client) -> None:
    assert send(client, zipped({"OD\\": b"", "OD\\a.jpg": PHOTO, "__MACOSX\\a.jpg": b"x"})).json()["total"] == 1


# Zip64 ----------------------------------------------------------------------------------------------------------------
def zip64(archive: bytes, *, entries: int | None = None, gap: bytes = b"", place: int | None = None) -> bytes:
    """The archive with a Zip64 end record, as streaming programs write it for any size."""
    end = archive.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack("<HLL", archive[end + 10 : end + 20])
    total = count if entries is None else entries
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, total, total, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end if place is None else place, 1)
    last = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return archive[:end] + record + gap + locator + last


def test_a_small_zip64_archive_is_read(client: Client, champion: Any) -> None:
    batch = send(client, zip64(zipped({"a.jpg": PHOTO, "b.jpg": OTHER})), eye="OD").json()
    worker.run_batch(batch["id"])
    assert client.get(f"{URL}/{batch['id']}").json()["files"]["stored"] == 2


def test_entries_with_zip64_sizes_are_read(client: Client, champion: Any) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as entry:
        entry.write(PHOTO)
    batch = send(client, buffer.getvalue(), eye="OD").json()
    worker.run_batch(batch["id"])
    assert client.get(f"{URL}/{batch['id']}").json()["files"]["stored"] == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"entries": 10_001}, 413, "too_many_files"),
        ({"entries": 2**60}, 413, "too_many_files"),
        ({"gap": b"\0" * 8}, 422, "archive_corrupt"),
        ({"place": 0}, 422, "archive_corrupt"),
    ],
)
def test_a_zip64_archive_that_lies_is_refused(client: Client, change: Any, status: int, code: str) -> None:
    answer = send(client, zip64(zipped({"a.jpg": PHOTO}), **change))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Batch.objects.exists()
