"""Labels leave with their provenance, in forms that other programs read and no spreadsheet runs."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from cataract.core.audit.models import Act, AuditEntry
from predictions.photos import storage
from predictions.photos.models import EyeImage
from review.cases.models import Reading
from review.labels import exports
from review.labels.models import Label
from review.queue import claims
from review.reading import services
from tests.factories import AdjudicatorFactory, EyeImageFactory, ReaderFactory, UserFactory, jpeg_bytes
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0


def read(answer: str = "cataract", *, note: str = "", **values: Any) -> Label:
    """The label of a photo that one reader read as the AI did."""
    case, reader = make_case(answer, **values), ReaderFactory.create()
    assert claims.claim(case, reader)
    services.store_blind_answer(case=case, reader=reader, answer=answer, note=note)
    return Label.objects.get(case=case)


def text(form: str, **options: Any) -> str:
    with_ai = options.pop("with_ai", True)
    return "".join(exports.FORMATS[form].write(exports.labels_to_export(**options), with_ai=with_ai))


def test_json_lines_say_where_each_label_came_from() -> None:
    label = read(review_propensity=0.05)
    (found,) = [json.loads(line) for line in text("jsonl").splitlines()]
    assert (found["answer"], found["provenance"], found["may_train"]) == ("cataract", "blind", True)
    assert found["weight"] == pytest.approx(20)
    assert found["chance_of_review"] == pytest.approx(0.05)
    assert found["sha256"] == label.image.sha256
    (reading,) = found["readings"]
    assert (reading["role"], reading["blind_answer"]) == ("first", "cataract")
    assert isinstance(reading["reader"], int)
    assert found["ai"]["decision"] == "cataract"
    assert found["ai"]["probability"] == pytest.approx(0.6173)


def test_without_the_ai_nothing_of_it_is_in_an_export() -> None:
    read()
    for form in exports.FORMATS:
        plain = text(form, with_ai=False)
        assert not any(trace in plain for trace in ("0.6173", "uncertain", "ai_", '"ai"', "release-of-the-test"))


def test_csv_has_a_column_for_each_value_and_the_numbers_of_readers() -> None:
    label = read()
    assert text("csv").startswith("\ufeff"), "Excel needs it to read UTF-8"
    rows = list(csv.DictReader(io.StringIO(text("csv").removeprefix("\ufeff"))))
    assert len(rows) == 1
    assert None not in rows[0] and None not in rows[0].values()
    assert list(rows[0])[:-4] == list(exports.record(label, with_ai=False))
    assert rows[0]["answer"] == "cataract"
    assert rows[0]["ai_reasons"] == "uncertain"
    assert json.loads(rows[0]["readings"])[0]["blind_answer"] == "cataract"
    plain = csv.DictReader(io.StringIO(text("csv", with_ai=False).removeprefix("\ufeff")))
    assert plain.fieldnames == list(exports.record(label, with_ai=False))


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1"])
def test_no_cell_runs_as_a_formula(formula: str) -> None:
    read(image=EyeImageFactory.create(site_name=formula, patient_key=formula))
    (row,) = list(csv.DictReader(io.StringIO(text("csv").removeprefix("\ufeff"), newline="")))
    assert row["site"] == row["patient"] == "'" + formula


def test_only_labels_that_may_train_where_asked() -> None:
    kept = read()
    read(image=EyeImageFactory.create(may_train=False))
    found = [json.loads(line)["label"] for line in text("jsonl", training_only=True).splitlines()]
    assert found == [str(kept.pk)]
    assert len(text("jsonl").splitlines()) == 2


def test_a_superseded_label_stays_at_home() -> None:
    label = read()
    services.undo_reading(reading=Reading.objects.get(), reader=Reading.objects.get().reader)
    label.refresh_from_db()
    assert label.superseded_at is not None
    assert text("jsonl") == ""


def test_a_coco_manifest_links_photos_categories_and_labels() -> None:
    for answer in ("cataract", "normal", "cataract"):
        read(answer)
    coco = json.loads(text("coco"))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert [names[each["category_id"]] for each in coco["annotations"]] == ["cataract", "normal", "cataract"]
    assert [image["id"] for image in coco["images"]] == [each["image_id"] for each in coco["annotations"]]
    assert coco["images"][0]["file_name"].startswith("train/cataract/")
    Label.objects.update(superseded_at="2026-01-01T00:00Z")
    assert json.loads(text("coco"))["images"] == []


def test_few_queries_however_many_labels(django_assert_max_num_queries: Any) -> None:
    for _ in range(12):
        read()
    with django_assert_max_num_queries(3):
        text("csv")


# The command ----------------------------------------------------------------------------------------------------------
def run(*words: Any) -> str:
    out = io.StringIO()
    call_command("export_labels", *map(str, words), stdout=out)
    return out.getvalue()


def test_the_command_writes_a_file_and_never_over_one(tmp_path: Path) -> None:
    read()
    assert "1 labels written" in run(tmp_path / "labels.csv")
    assert "cataract" in (tmp_path / "labels.csv").read_text()
    with pytest.raises(CommandError, match="already exists"):
        run(tmp_path / "labels.csv")
    with pytest.raises(CommandError, match="no folder"):
        run(tmp_path / "nowhere" / "labels.csv")
    assert [file.name for file in tmp_path.iterdir() if not file.is_dir()] == ["labels.csv"]


def test_a_folder_holds_the_photos_by_split_and_class(tmp_path: Path) -> None:
    name, digest = storage.store(jpeg_bytes(5), suffix=".jpg")
    label = read(image=EyeImageFactory.create(stored_name=name, stored_sha256=digest))
    read(image=EyeImageFactory.create(may_train=False))
    run(tmp_path / "out", "--format", "folder")
    (line,) = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
    photo = tmp_path / "out" / json.loads(line)["file_name"]
    assert photo.parent == tmp_path / "out" / "train" / "cataract"
    assert photo.read_bytes() == storage.read(label.image.stored_name)
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 1


def test_a_missing_photo_leaves_nothing_behind(tmp_path: Path) -> None:
    read()
    assert EyeImage.objects.exists()
    with pytest.raises(CommandError, match="is missing"):
        run(tmp_path / "out", "--format", "folder")
    assert not [each for each in tmp_path.iterdir() if "out" in each.name or "export" in each.name]


# The page -------------------------------------------------------------------------------------------------------------
def test_who_may_download(client: Client) -> None:
    read()
    page = reverse("review:export")
    for person, may, with_ai in (
        (UserFactory.create(roles=["admin"]), True, True),
        (UserFactory.create(roles=["auditor"]), True, True),
        (AdjudicatorFactory.create(), True, False),
        (ReaderFactory.create(), False, False),
        (UserFactory.create(roles=["screener"]), False, False),
    ):
        client.force_login(person)
        answer = client.get(page, {"format": "jsonl"})
        assert answer.status_code == (200 if may else 403)
        if may:
            body = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
            assert ("0.6173" in body) == with_ai
            assert answer["Content-Disposition"].startswith('attachment; filename="labels-')
    client.logout()
    assert client.get(page).status_code == 302


def test_an_unknown_format_is_not_found(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    assert client.get(reverse("review:export"), {"format": "exe"}).status_code == 404


def test_an_admin_downloads_labels_with_their_photos_as_one_archive(client: Client) -> None:
    label = read()
    name, _ = storage.store(jpeg_bytes(), suffix=".jpg")
    EyeImage.objects.filter(pk=label.image_id).update(stored_name=name, may_train=True)
    lost = read("normal")
    EyeImage.objects.filter(pk=lost.image_id).update(stored_name="00/lost.jpg", may_train=True)
    client.force_login(UserFactory.create(roles=["admin"]))
    answer = client.get(reverse("review:export-photos"))
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        found = {entry: archive.read(entry) for entry in archive.namelist()}
    label.image.refresh_from_db()
    photo = exports.file_name(exports.labels_to_export().get(pk=label.pk))
    assert found[photo] == jpeg_bytes()
    assert exports.file_name(exports.labels_to_export().get(pk=lost.pk)) in found["missing.txt"].decode()
    assert str(label.pk) in found["metadata.jsonl"].decode() and json.loads(found["coco.json"])["annotations"]
    assert AuditEntry.objects.get(act=Act.EXPORTED).detail["what"] == "labels and photos"
    for role in ("auditor", "adjudicator", "screener"):
        client.force_login(UserFactory.create(roles=[role]))
        assert client.get(reverse("review:export-photos")).status_code == 403
