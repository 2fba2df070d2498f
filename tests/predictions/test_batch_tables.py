"""The table of a batch: every cell counts or the table is refused; a row finds its one photo however it was written."""

import csv
import io
import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from hypothesis import assume, given
from hypothesis import strategies as st

from cataract.core import tokens
from cataract.core.csv_tables import TableRefused
from predictions.batches import worker
from predictions.batches.models import Batch, BatchItem
from predictions.batches.naming import CODE_PAGES, Names, plain_name, spellings
from predictions.batches.tables import COLUMNS, MAX_BYTES, Table, read_table
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from tests.factories import UserFactory, jpeg_bytes

URL = "/api/v1/batches"


@pytest.fixture
def client(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An integrator with a key; the tests are the worker."""
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *args: None)
    user = UserFactory.create(roles=["integrator"])
    _, key = tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(client: Client, table: str | bytes, *names: str, **fields: Any) -> Any:
    data = table if isinstance(table, bytes) else table.encode()
    photos = [SimpleUploadedFile(name, jpeg_bytes(seed)) for seed, name in enumerate(names or ["a.jpg"], start=1)]
    return client.post(URL, {"photos": photos, "table": SimpleUploadedFile("t.csv", data), **fields})


# What is refused ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("column", ["may train", "patient_id", "laterality", "Notes", "eye2"])
def test_an_unknown_column_is_named_with_those_that_exist(client: Client, column: str) -> None:
    answer = send(client, f"file,{column}\na.jpg,no\n")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "table_invalid", "table")
    assert column.lower() in problem["errors"] and all(known in problem["detail"] for known in COLUMNS)
    assert column.lower() in problem["detail"] and not Batch.objects.exists()


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("file,eye\na.jpg,OD,no\n", "row 2"),  # the last cell would be lost
        ("file,,eye\na.jpg,no,OD\n", "row 2"),
        ("file,eye,eye\na.jpg,OD,OS\n", "eye"),
        ("sep=;\nfile;eye\na.jpg;middle\n", "row 3"),
        ("\nfile,eye\n;;\na.jpg,middle\n", "row 4"),
        ("file,may_train\na.jpg,perhaps\n", "row 2"),
        ("file,captured_at\na.jpg,31.01.2026\n", "row 2"),
        ("file,captured_at\na.jpg,1989-12-31\n", "row 2"),
        ("file,captured_at\na.jpg,2026-02-30\n", "row 2"),
        (f"file,site\na.jpg,{'x' * 65}\n", "row 2"),
        ("file,patient\nu\u0308.jpg,A\n\u00fc.jpg,B\n", "row 3"),  # the same name, written in two ways
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_row(client: Client, table: str, where: str) -> None:
    answer = send(client, table)
    assert answer.status_code == 422 and where in answer.json()["errors"], answer.json()
    assert not Batch.objects.exists()


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=1), timedelta(days=400)])
def test_a_photo_is_not_taken_in_the_future(client: Client, ahead: timedelta) -> None:
    moment = timezone.localtime() + ahead
    assert send(client, f"file,captured_at\na.jpg,{moment.isoformat()}\n").status_code == 422
    day = (timezone.localtime() + timedelta(days=1)).date()
    assert send(client, f"file,captured_at\na.jpg,{day.isoformat()}\n").status_code == 422
    photo = SimpleUploadedFile("a.jpg", jpeg_bytes(1))
    alone = {"photo": photo, "eye": "OD", "captured_at": moment.isoformat()}
    answer = client.post("/api/v1/predictions", alone)
    assert (answer.status_code, answer.json()["field"]) == (422, "captured_at")
    assert send(client, f"file,captured_at\na.jpg,{timezone.localdate().isoformat()}\n").status_code == 202


def test_an_unknown_site_is_refused_at_once(client: Client) -> None:
    answer = send(client, "file,site\na.jpg,Nowhere\n")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "site_unknown", "site")


# What is taken --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "table",
    [
        "sep=;\r\nfile;patient;eye\r\na.jpg;P-1;OD\r\n;;\r\n;;\r\n",
        '\ufeff"sep=,"\nfile,patient,eye\na.jpg,P-1,OD\n,,\n',
        "SEP=\t\nfile\tpatient\teye\na.jpg\tP-1\tright\n\t\t\n",
        "File; Patient ;EYE;;\na.jpg; P-1 ;od;;\n;;;;\n",
        "file,patient,eye\r\n\r\na.jpg,P-1,R\r\n" + ",,\r\n" * 20_000,
    ],
)
def test_what_a_spreadsheet_adds_is_ignored(client: Client, table: str) -> None:
    assert send(client, table).status_code == 202
    item = BatchItem.objects.get()
    assert (item.patient_key, item.eye) == ("P-1", "OD")


@pytest.mark.parametrize(
    ("for_all", "cell", "trains"),
    [("true", "no", False), ("false", "", False), ("false", "yes", False), ("true", "", True), ("true", "YES", True)],
)
def test_a_refused_consent_stays_refused(client: Client, for_all: str, cell: str, trains: bool, champion: Any) -> None:
    batch = send(client, f"file,eye,may_train\na.jpg,OD,{cell}\n", may_train=for_all).json()
    worker.run_batch(batch["id"])
    assert EyeImage.objects.get().may_train is trains


def test_a_table_without_the_column_does_not_give_consent(client: Client) -> None:
    assert send(client, "file,eye\na.jpg,OD\n", may_train="false").status_code == 202
    assert BatchItem.objects.get().may_train is False


# Names ----------------------------------------------------------------------------------------------------------------
def facts(row: str, *names: str) -> list[str]:
    table = read_table(f"file,patient\n{row},P-1\n".encode())
    return [found.patient_key for found in table.match([list(names)], PhotoFacts())[1]]


def test_one_row_never_serves_two_photos() -> None:
    for names in (["OD/a.jpg", "OS/a.jpg"], ["a.jpg", "a.jpg"], ["x\\a.jpg", "y/a.jpg"]):
        with pytest.raises(TableRefused) as refused:
            facts("a.jpg", *names)
        assert all(name in refused.value.errors["a.jpg"][0] for name in names)
    assert facts("OD/a.jpg", "OD/a.jpg", "OS/a.jpg") == ["P-1", ""]
    assert facts("a.jpg", "a.jpg", "OS/a.jpg") == ["P-1", ""]  # a full name comes first


def test_one_photo_never_has_two_rows() -> None:
    table = read_table(b"file,patient\na.jpg,P-1\nOD/a.jpg,P-2\n")
    with pytest.raises(TableRefused) as refused:
        table.match([["OD/a.jpg"]], PhotoFacts())
    assert "has a row already: a.jpg" in refused.value.errors["OD/a.jpg"][0]


def test_two_photos_of_one_name_are_both_named_over_the_api(client: Client) -> None:
    answer = send(client, "file,patient\na.jpg,P-1\n", "a.jpg", "a.jpg")
    assert answer.status_code == 422 and "2 photos have the name a.jpg" in answer.json()["errors"]["a.jpg"][0]


def test_names_that_can_be_read_in_several_ways_are_never_guessed() -> None:
    first, second = "\u00e9.jpg", "\u00da.jpg"  # the byte E9 in code page 1252, and in 850
    table = Table({first: {"patient_key": "P-1"}})
    assert table.match(spellings([b"\xe9.jpg", b"\xda.jpg"]), PhotoFacts())[0] == [first, second]
    ambiguous = [["a.jpg", "b.jpg"], ["b.jpg", "a.jpg"]]
    with pytest.raises(TableRefused, match="several ways"):
        read_table(b"file,patient\na.jpg,P-1\n").match(ambiguous, PhotoFacts())


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Cn", "Zl", "Zp", "Zs"], exclude_characters="/\\,;\"'"),
    min_size=1,
    max_size=20,
).map(lambda name: f"{name}.jpg")
FORMS = st.sampled_from(["NFC", "NFD"])


@given(st.lists(NAMES, min_size=1, max_size=6, unique_by=plain_name), FORMS, FORMS, st.data())
def test_a_name_is_found_in_any_normal_form_and_with_any_separator(
    names: list[str], stored: Any, written: Any, data: st.DataObject
) -> None:
    folders = [data.draw(st.sampled_from(["", "OD/", "OD\\", "./x/y/"])) for _ in names]
    sent = [unicodedata.normalize(stored, folder + name) for folder, name in zip(folders, names, strict=True)]
    place = data.draw(st.integers(0, len(names) - 1))
    found = Names(sent)
    assert found.places(unicodedata.normalize(written, names[place])) == [place]
    assert found.places(unicodedata.normalize(written, sent[place]).replace("\\", "/")) == [place]
    assert not found.places("missing.txt")


@given(st.sampled_from(CODE_PAGES), st.data())
def test_a_name_of_any_code_page_is_found_as_the_user_sees_it(page: str, data: st.DataObject) -> None:
    letters = "\u00fc\u00e9\u00df\u00f1\u0142\u0159\u0448\u0416\u03c9\u05d0\u0639\u0e01\u65e5\u672c\u4e2d\ud55c\uff76"
    usable = sorted({letter for letter in letters if _survives(letter, page)} | set("ab1_"))
    names = [
        f"{name}.jpg"
        for name in data.draw(st.lists(st.text(usable, min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
    ]
    table = Table({plain_name(name): {"patient_key": f"P-{place}"} for place, name in enumerate(names)})
    found, stated = table.match(spellings([name.encode(page) for name in names]), PhotoFacts())
    assert [facts.patient_key for facts in stated] == [f"P-{place}" for place in range(len(names))]
    assert [plain_name(name) for name in found] == [plain_name(name) for name in names]


def _survives(letter: str, page: str) -> bool:
    try:
        return letter.encode(page).decode(page) == letter
    except UnicodeError:
        return False


# Any input ------------------------------------------------------------------------------------------------------------
CELL = st.one_of(
    st.sampled_from(["", "OD", "left", "yes", "no", "P-1", "2026-01-31", "2099-01-01", "a.jpg", "b.jpg", "sep=;"]),
    st.text(max_size=12),
)


HEADERS = st.one_of(
    st.lists(st.sampled_from(COLUMNS), unique=True, max_size=7).map(lambda names: ["file", *set(names) - {"file"}]),
    st.lists(st.one_of(st.sampled_from(COLUMNS), CELL), max_size=8),
)


@given(
    HEADERS,
    st.lists(st.lists(CELL, max_size=9), max_size=5),
    st.sampled_from(",;\t"),
    st.booleans(),
)
def test_a_table_is_kept_whole_or_refused_in_words(
    header: list[str], rows: list[list[str]], separator: str, says: bool
) -> None:
    assume(not (header and header[0].startswith("sep=")))
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([header, *rows])
    data = (f"sep={separator}\r\n" if says else "") + text.getvalue()
    try:
        table = read_table(data.encode("utf-8", "surrogatepass"))
    except TableRefused as refused:
        assert refused.message.endswith(".") or refused.errors
        return
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if header and any(header):
        assert len(table.rows) == len(filled)
        stated = sum(len(row) for row in table.rows.values()) + len(table.rows)
        assert stated == sum(bool(cell.strip()) for row in filled for cell in row), "a cell was lost"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    try:
        assert isinstance(read_table(data), Table)
    except TableRefused as refused:
        assert refused.status == 422


def test_a_table_that_is_too_large_is_refused() -> None:
    with pytest.raises(TableRefused, match="5 MB"):
        read_table(b"file\n" + b"a" * MAX_BYTES)
