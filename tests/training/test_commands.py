"""import_images, evaluate, train, promote, rollback as typed by a person."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from cataract.ml.photos.duplicates import perceptual_hash
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import verify, write_json, write_manifest
from cataract.ml.synthetic import render_eye
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.releases import store
from predictions.releases.models import Promotion, Release
from review.labels.models import Label
from tests import photos
from tests.releases import make_tiny_release
from tests.training.makers import capture_published, label_photos, photo_bytes, tiny_build
from training.comparison.models import Comparison
from training.datasets.selectors import usable_labels
from training.runs import worker
from training.runs.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)


def command(*words: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, words), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def pictures(eyes: Path) -> list[Path]:
    """Real photos of different pictures, each in one of the published folders only."""
    from training.datasets.imports import clusters_of, scan

    clusters = clusters_of(scan(eyes))
    return [cluster[0].path for cluster in clusters if len({file.path.parent for file in cluster}) == 1]


@pytest.fixture
def tree(tmp_path: Path, eyes: Path, pictures: list[Path]) -> Path:
    """Real photos: 4 of each class in train, 2 in test, one of them mirrored into train too, one text file."""
    root = tmp_path / "tree"
    for split, count in (("train", 4), ("test", 2)):
        for label in ("normal", "cataract"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for path in [path for path in pictures if path.parent == eyes / split / label][:count]:
                shutil.copyfile(path, folder / f"{label}-{path.name}")
    twin = min((root / "test" / "cataract").iterdir())
    mirrored = Image.open(twin).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(root / "train" / "cataract" / "twin.png")
    (root / "train" / "notes.txt").write_text("not a photo")
    return root


@pytest.mark.photos
def test_an_import_stores_each_photo_once_with_its_label_and_split(tree: Path) -> None:
    said = command("import_images", tree, labelled=True, split_from_folders=True, site="clinic")
    assert "13 stored, 0 already stored, 1 refused, 13 labelled, 1 left out of every dataset." in said
    assert "1 leaks" in said and "train/cataract/twin.png" in said
    assert "train/notes.txt: refused: " in said
    twin = EyeImage.objects.get(original_name="twin.png")
    assert (twin.split, twin.cluster.split, twin.site.name) == ("excluded", "test", "clinic")
    assert set(Label.objects.values_list("provenance", "may_train")) == {("imported", True)}
    assert not Prediction.objects.exists()

    again = command("import_images", tree, labelled=True, split_from_folders=True)
    assert "0 stored, 13 already stored, 1 refused, 0 labelled" in again
    assert (EyeImage.objects.count(), Label.objects.count()) == (13, 13)


@pytest.mark.photos
def test_crops_of_test_photos_never_train_or_calibrate(tmp_path: Path, pictures: list[Path]) -> None:
    sure = [path for path in pictures if path.parts[-3] == "test"][:11]
    assert len(sure) == 11
    for number, path in enumerate(sure):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((400, 400))
        width, height = photo.size
        test, train = (tmp_path / name / split / path.parent.name for name, split in (("a", "test"), ("b", "train")))
        test.mkdir(parents=True, exist_ok=True)
        train.mkdir(parents=True, exist_ok=True)
        photo.save(test / f"{number}.png")
        for part, (left, top, share) in enumerate(((0.02, 0.08, 0.9), (0.17, 0.01, 0.8), (0.05, 0.12, 0.85))):
            corner = int(left * width), int(top * height)
            box = (*corner, int((left + share) * width), int((top + share) * height))
            photo.crop(box).save(train / f"crop-{number}-{part}.jpg", quality=88)
    command("import_images", tmp_path / "a", labelled=True, split_from_folders=True)
    said = command("import_images", tmp_path / "b", labelled=True)
    crops = EyeImage.objects.filter(original_name__startswith="crop")
    assert crops.count() == 33 and "33 stored" in said
    assert set(crops.values_list("cluster__split", flat=True)) == {"test"}
    assert not crops.filter(split__in=["train", "calibration"]).exists()
    assert not usable_labels().exclude(image__split="test").exists()
    assert not EyeImage.objects.waiting_for_comparison().exists(), "a training may start at once"


def test_a_test_file_that_cannot_be_tested_on_is_said_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """61 of 79 test files went to training without a word: the starter knew them."""
    seen: list[str] = []
    for seed, (split, label) in enumerate((s, a) for s in ("train", "test") for a in ("normal", "cataract")):
        folder = tmp_path / "tree" / split / label
        folder.mkdir(parents=True)
        pixels = render_eye(40 + seed, opacity=0.9 * (label == "cataract"))
        Image.fromarray(pixels).save(folder / f"{split}-{label}.png")
        if split == "test" and label == "normal":
            seen.append(perceptual_hash(pixels))
    monkeypatch.setattr("predictions.releases.serving.seen_hashes", lambda: seen)
    said = command("import_images", tmp_path / "tree", labelled=True, split_from_folders=True).splitlines()
    why = "the champion was trained on it or on a copy"
    assert f"test/normal/test-normal.png: stored (training), not test: {why}, labelled normal" in said
    summary = said.index(f"1 of 2 test files are in training instead: {why}.")
    assert "4 stored" in said[summary - 1] and "leaks" in " ".join(said[summary + 1 :])
    again = command("import_images", tmp_path / "tree", labelled=True, split_from_folders=True, quiet=True)
    assert "1 of 2 test files are in training instead: it was stored before." in again


def test_an_import_keeps_the_eye_that_a_dicom_header_names(tmp_path: Path) -> None:
    (tmp_path / "left.dcm").write_bytes(photos.dicom(photos.eye(), ImageLaterality="L"))
    command("import_images", tmp_path)
    image = EyeImage.objects.get()
    assert (image.eye, image.capture["eye"], image.source) == ("OS", "OS", "import")


@pytest.mark.photos
def test_the_same_picture_with_both_labels_gets_none(tree: Path) -> None:
    photo = next((tree / "train" / "cataract").glob("cataract-*"))
    shutil.copyfile(photo, tree / "train" / "normal" / f"wrong{photo.suffix}")
    said = command("import_images", tree, labelled=True)
    assert "1 label conflicts" in said
    assert not Label.objects.filter(image__original_name__in=[photo.name, f"wrong{photo.suffix}"]).exists()


@pytest.mark.photos
@pytest.mark.slow
def test_the_published_set_is_reported_as_it_is(eyes: Path) -> None:
    said = command("import_images", eyes, labelled=True, split_from_folders=True, quiet=True)
    leaks = next(line for line in said.splitlines() if "leaks:" in line)
    assert int(leaks.split()[0]) >= 30
    assert "1 label conflicts" in said
    images = EyeImage.objects.exclude(split="excluded")
    assert not images.exclude(cluster__split__in=["train", "calibration", "test"]).exists()
    for image in images.select_related("cluster"):
        assert image.split == image.cluster.split


def test_photos_inside_dicom_are_imported_and_evaluated_too(champion: Release, tmp_path: Path) -> None:
    for label, seed in (("normal", 1), ("cataract", 2)):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "slit.dcm").write_bytes(photos.dicom(photos.eye(seed=seed)))
    assert json.loads(command("evaluate", tmp_path / "set", json=True))["photos"] == 2
    assert "2 stored, 0 already stored, 0 refused, 2 labelled" in command(
        "import_images", tmp_path / "set", labelled=True
    )
    assert set(EyeImage.objects.values_list("format", flat=True)) == {"DICOM"}


def test_an_import_of_nothing_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(CommandError, match="is not a folder"):
        command("import_images", folder)
    folder.mkdir()
    with pytest.raises(CommandError, match="There is no file in"):
        command("import_images", folder)
    (folder / "text.jpg").write_text("no photo")
    with pytest.raises(CommandError, match="No file could be stored"):
        command("import_images", folder)
    with pytest.raises(CommandError, match="there is no label to read"):
        command("import_images", folder, labelled=True)
    assert not EyeImage.objects.exists()


def test_evaluate_measures_one_photo_a_picture_and_stores_nothing(champion: Release, tmp_path: Path) -> None:
    root = tmp_path / "labelled"
    for label in ("normal", "cataract"):
        (root / label).mkdir(parents=True)
        for seed in range(6):
            (root / label / f"{seed}.png").write_bytes(photo_bytes(seed, label))
    (root / "cataract" / "copy.png").write_bytes(photo_bytes(0, "cataract") + b" ")
    (root / "cataract" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = json.loads(command("evaluate", root, json=True))
    assert result["release"] == champion.pk
    assert 2 <= result["photos"] <= 12 and result["files"] == 14
    assert len(result["refused"]) == 1 and "broken.png" in result["refused"][0]
    assert sum(sum(row.values()) for row in result["confusion"].values()) == result["photos"]
    assert result["auto_decided"]["n"] <= result["photos"]
    assert result["metrics"]["roc_auc"]["value"] is not None
    measured, both = result["metrics"], result["by_class"]
    assert measured["sensitivity"]["n"] == both["cataract"] and measured["specificity"]["n"] == both["normal"]
    assert measured["ungradable"]["n"] == result["photos"] and result["fitted_on"] == 0
    said = command("evaluate", root)
    assert "Decided without a person" in said and "fitted on none of the" in said
    row = next(line for line in said.splitlines() if line.startswith("Sensitivity at 95 % specificity"))
    assert re.search(r" to \d\.\d{3} +\d+$", row), row
    assert not EyeImage.objects.exists() and not Prediction.objects.exists()


def test_evaluate_counts_refusals_as_the_gates_do_and_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    """A release that finds no eye in any photo: every patient goes to a person, and nothing has a probability."""
    root = tmp_path / "labelled"
    for number, label in enumerate(("normal", "cataract")):
        (root / label).mkdir(parents=True)
        for seed in range(2):
            (root / label / f"{seed}.png").write_bytes(photo_bytes(40 + 2 * number + seed, label))
    folder = make_tiny_release(tmp_path / "refusing", name="refusing", refuse_all=True)
    release = store.register_release(folder=folder)
    result = json.loads(command("evaluate", root, json=True, release=release.pk))
    values = {
        name: result["metrics"][name]["value"] for name in ("sensitivity", "specificity", "ungradable", "roc_auc")
    }
    assert values == {"sensitivity": 1, "specificity": 0, "ungradable": 1, "roc_auc": None}

    knowing = tmp_path / "knowing"
    description = verify(make_tiny_release(knowing, name="knowing", seed=5))
    write_json(knowing / "seen.json", {"hashes": [perceptual_hash(decode(photo_bytes(40, "normal")))]})
    (knowing / "manifest.json").unlink()
    write_manifest(knowing, description)
    said = command("evaluate", root, release=store.register_release(folder=knowing).pk)
    assert "was fitted on 1 of the" in said


def test_evaluate_says_what_is_missing(tmp_path: Path, champion: Release) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "eye.png").write_bytes(photo_bytes(1, "normal"))
    with pytest.raises(CommandError, match="lies in a folder named normal or cataract"):
        command("evaluate", folder)
    with pytest.raises(CommandError, match=f"There is no release 'absent'. Known releases: {champion.pk}"):
        command("evaluate", folder, release="absent")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Drawn photos as <source>/<label>/photo: a clinic with both classes, and what no automatic answer is right for."""
    root = tmp_path / "sources"
    drawn = {"clinic/normal": "normal", "clinic/cataract": "cataract", "web/red-eye": "normal", "web/mask": "cataract"}
    for number, (folder, label) in enumerate(drawn.items()):
        (root / folder).mkdir(parents=True)
        for seed in range(3):
            (root / folder / f"{seed}.png").write_bytes(photo_bytes(10 * number + seed, label))
    return root


def test_evaluate_by_source_measures_each_source_and_stores_nothing(champion: Release, sources: Path) -> None:
    (sources / "clinic" / "normal" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (sources / "clinic" / "cataract" / "copy.png").write_bytes(photo_bytes(10, "cataract") + b" ")
    result = json.loads(command("evaluate", sources, by_source=True, json=True, release=champion.pk))
    assert (result["release"], result["files"], len(result["refused"])) == (champion.pk, 14, 1)
    clinic, web = result["sources"]["clinic"], result["sources"]["web"]
    assert clinic["labels"] == {"cataract": 3, "normal": 3}
    assert clinic["eyes"]["sensitivity"]["n"] + clinic["eyes"]["specificity"]["n"] <= 6
    assert web["other_conditions"]["photos"] == web["not_an_eye"]["photos"] == 3
    assert result["pooled"]["photos"] == 12
    said = command("evaluate", sources, by_source=True)
    assert "clinic: 6 photos (cataract 3, normal 3)" in said and "closed without a person" in said
    assert said.index("web: 6 photos") < said.index("All sources: 12 photos")
    assert "clinic/normal/broken.png: " in said
    assert not EyeImage.objects.exists() and not Prediction.objects.exists()


def test_evaluate_by_source_refuses_another_layout_and_unknown_labels_by_name(champion: Release, sources: Path) -> None:
    (sources / "clinic" / "keratitis").mkdir()
    (sources / "clinic" / "keratitis" / "1.png").write_bytes(photo_bytes(1, "normal"))
    with pytest.raises(CommandError, match=r"Unknown labels: clinic/keratitis\. The known ones: normal, cataract, "):
        command("evaluate", sources, by_source=True)
    (sources / "clinic" / "stray.png").write_bytes(photo_bytes(1, "normal"))
    with pytest.raises(CommandError, match=r"clinic/stray\.png does not lie in .*/<source>/<label>/"):
        command("evaluate", sources, by_source=True)


def test_train_promote_and_rollback_from_the_command_line(
    champion: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = capture_published(monkeypatch)
    label_photos(test=1)
    assert "is queued" in command("train", model="fast", reason="new labels")
    with pytest.raises(CommandError, match="Another training run is active"):
        command("train", model="fast")
    run = TrainingRun.objects.get()
    assert published == [("run_training", str(run.pk))]
    worker.run(str(run.pk), build=tiny_build)
    run.refresh_from_db()
    assert run.release is not None, run.error
    with pytest.raises(CommandError, match="Known releases"):
        command("promote", "absent", reason="The new labels.")
    release = registry_twin(tmp_path)
    with pytest.raises(CommandError, match=r"too few photos(.|\n)*\n  --acknowledge-too-few"):
        command("promote", release.pk, reason="The new labels.")
    comparison = Comparison.objects.get(challenger=release)
    comparison.report["rules"] = "an older one"
    comparison.save()
    command("promote", release.pk, reason="The new labels.", acknowledge_too_few=True)
    assert Promotion.objects.first().release_id == release.pk  # type: ignore[union-attr]
    assert f"Release {champion.pk} serves again" in command("rollback", reason="It was a test.")


def registry_twin(tmp_path: Path) -> Release:
    """A release that answers just as the champion does, under another name."""
    return store.register_release(folder=make_tiny_release(tmp_path / "twin", seed=0, name="twin"))
