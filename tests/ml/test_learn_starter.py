"""The starter release: built from folders, honest about what it was fitted on, and whole where it is shipped."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.cover import cover
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.learn.starter import collection, left_out, models, starter
from cataract.ml.learn.starter.clean_set import CleanSet, Embedder, choose_test_photos
from cataract.ml.learn.starter.evaluation import effective_rank
from cataract.ml.learn.starter.gate import photo_gate
from cataract.ml.learn.starter.labels import NO_EYE, Curation
from cataract.ml.learn.starter.left_out import groups
from cataract.ml.photos import duplicates
from cataract.ml.photos.images import decode
from cataract.ml.synthetic import render_eye
from tests.reporters import RecordingReporter

STARTER = Path(__file__).resolve().parent.parent.parent / "cataract" / "starter"


def write(path: Path, photo: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Thirty eyes to judge, twelve others, and a turned copy of the first eye among the others."""
    names = ("normal", "cataract")
    for seed in range(42):
        folder = tmp_path / ("judged" if seed < 30 else "others") / names[seed % 2]
        write(folder / f"{seed}.png", render_eye(seed, opacity=0.9 * (seed % 2), size=128))
    turned = np.ascontiguousarray(np.rot90(render_eye(0, size=128)))
    write(tmp_path / "others" / "normal" / "copy.png", cv2.resize(turned, (100, 100)))
    return [tmp_path / "judged", tmp_path / "others"]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Two sources of six eyes, the first with a red eye, and three pictures of something else."""
    rng = np.random.default_rng(0)
    for number, source in enumerate(("clinic", "phone")):
        for seed in range(6):
            label = ("normal", "cataract")[seed % 2]
            eye = render_eye(100 + 10 * number + seed, opacity=0.9 * (seed % 2), size=128)
            write(tmp_path / "sources" / source / label / f"{seed}.png", eye)
    red = render_eye(150, size=128).copy()
    red[:, :, 1:] //= 2
    write(tmp_path / "sources" / "clinic" / "red-eye" / "1.png", red)
    for number in range(3):
        write(tmp_path / "sources" / "else" / "chart" / f"{number}.png", rng.integers(0, 256, (90, 120, 3), np.uint8))
    return tmp_path / "sources"


@pytest.mark.slow
def test_a_starter_is_built_and_its_encoder_saw_no_judged_photo(
    folders: list[Path], sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "DRAWN", 4)
    monkeypatch.setattr(models, "_OUTLIERS", 30)
    monkeypatch.setattr(photo_gate, "_DRAWN", 12)
    monkeypatch.setattr(left_out, "_GROUPS", 1)
    reporter = RecordingReporter()
    config = starter.StarterConfig(minutes=0.02, further_steps=2, trials=1)
    manifest = starter.build_starter(folders, sources, tmp_path / "starter", config, reporter)
    cascade = Cascade.load(tmp_path / "starter")
    cascade.check_golden()
    # Small synthetic eyes share lashes and lids: more than the planted copy may count as copies.
    assert manifest.data["encoder_copies_left_out"] >= 1
    assert manifest.data["encoder_copies_left_out"] + manifest.data["encoder_photos"] == 13
    assert manifest.data["fitted_clusters"] + manifest.data["test_clusters"] == manifest.data["clusters"]
    assert {"reading", "copies", "encoder", "embedding", "fast", "gate", "card", "left out", "done"} <= set(
        reporter.stages
    )
    figures = json.loads((tmp_path / "starter" / "metrics.json").read_text())
    assert {name: of["photos"] for name, of in figures["left_out"]["sources"].items()} == {
        "clinic": 7,
        "phone": 6,
        "else": 3,
    }
    card = (tmp_path / "starter" / "card.md").read_text()
    assert "| clinic | 6 |" in card and "| phone | 6 |" in card
    assert not (tmp_path / "starter.parts").exists()
    photo = render_eye(3, size=128)
    ours = Embedder(tmp_path / "starter", cascade.spec)(photo, find_pupil(photo))
    assert np.abs(ours - cascade.embed([photo])[0]).max() < 1e-6


def test_a_release_that_is_trained_further_keeps_its_test_photos() -> None:
    seen = json.loads((STARTER / "seen.json").read_text())["hashes"]
    clean = SimpleNamespace(
        hashes=["0" * 16, seen[0], "f" * 16, seen[1], "1" * 16, "2" * 16],
        clusters=np.array([4, 7, 7, 9, 2, 3]),
        sources=np.array([*["eyes"] * 5, "elsewhere"]),
        y=np.zeros(6),
    )
    spared = choose_test_photos(cast(CleanSet, clean), "eyes", STARTER, seed=0)
    assert spared.tolist() == [True, False, False, False, True, False], "a copy of a fitted photo is no test photo"


def test_curation_changes_the_published_labels_file_by_file() -> None:
    curation = Curation()

    def label(source: str, name: str) -> Any:
        return curation.label_of(source, Path("photos") / source / name)

    assert label("c-web", "cataract/001.jpg").cataract == 1
    assert label("c-web", "cataract/029.jpg").cataract == 0, "it looks healthy"
    assert label("c-web", "cataract/044.png") is None, "a drawing"
    assert label("c-web", "labelled-glaucoma/001.jpg").cataract == 1, "an evident white lens"
    assert label("c-web", "labelled-glaucoma/004.jpg") is None
    assert np.isnan(label("b-small-crops", "normal/001.jpg").other), "there, normal only means not yellow"
    assert label("e-web", "conjunctivitis/001.jpg").other == 1
    assert label("elsewhere", "fundus/1.jpg").cataract == NO_EYE
    with pytest.raises(ValueError, match="'squint'"):
        label("elsewhere", "squint/1.jpg")


def test_each_source_is_left_out_once() -> None:
    dealt = groups(["a", "b", "c", "d", "e"])
    assert dealt == [("a", "d"), ("b", "e"), ("c",)]
    assert groups(["a"]) == [("a",)]


def test_the_effective_rank_counts_the_directions_that_vary() -> None:
    rng = np.random.default_rng(0)
    assert abs(effective_rank(rng.normal(size=(5000, 8)).astype(np.float32)) - 8) < 0.1
    assert effective_rank((rng.normal(size=(500, 1)) * np.ones(8)).astype(np.float32)) < 1.1


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "x.png", render_eye(1, size=64))
    with pytest.raises(CommandError, match="normal and cataract"):
        call_command("build_starter", "--images", str(tmp_path / "photos"), "--out", str(tmp_path / "out"))
    with pytest.raises(CommandError, match="There is no folder"):
        call_command("build_starter", "--images", str(tmp_path / "nowhere"))


def test_the_cover_hides_the_pupil_or_all_else() -> None:
    photo = np.zeros((100, 100, 3), dtype=np.uint8)
    cv2.circle(photo, (50, 50), 10, (255, 255, 255), -1)
    pupil = Pupil(0.5, 0.5, 0.12, 1.0)
    assert cover(photo, pupil, outside=False).max() < 30
    assert (cover(photo, pupil, outside=True)[50, 50] == 255).all()


def test_the_shipped_starter_is_whole_and_small() -> None:
    cascade = Cascade.load(STARTER)
    cascade.check_golden()
    assert sum(path.stat().st_size for path in STARTER.iterdir()) <= 15_000_000
    assert {"encoder.safetensors", "open_clip.json", "seen.json", "card.md", "rehearsal.npz"} <= set(
        cascade.manifest.files
    )


@pytest.mark.photos
def test_the_shipped_starter_left_some_published_photos_unseen(eyes: Path) -> None:
    seen = json.loads((STARTER / "seen.json").read_text())["hashes"]
    paths = [path for path in sorted(eyes.rglob("*.*")) if path.is_file()][::10]
    hashes = [duplicates.dihedral_hashes(decode(path.read_bytes())) for path in paths]
    unseen = [path for path, of_photo in zip(paths, hashes, strict=True) if not duplicates.near(of_photo, seen)]
    assert 0 < len(unseen) < len(paths) / 2
