"""`manage.py bench` measures the cascade and the plain pipeline on the same photos, with installed packages only."""

import json
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import open_clip
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from PIL import Image

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.bench import bench
from cataract.ml.learn.bench import photos as benchphotos
from cataract.ml.learn.towers.base_release import export_tower, random_tower, write_base
from cataract.ml.photos import images
from cataract.ml.release import manifest as release
from cataract.ml.synthetic import render_eye
from tests.releases import make_tiny_release

ARCH = "bench-vit"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="module")
def arch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ViT of four small blocks that open_clip knows by name."""
    path = tmp_path_factory.mktemp("configs") / f"{ARCH}.json"
    path.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(path)
    return ARCH


@pytest.fixture
def eyes_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in (1, 2):
        Image.fromarray(render_eye(seed, size=160)).save(folder / f"eye-{seed}.jpg", quality=90)
    (folder / "no-photo.jpg").write_bytes(b"nothing")
    return folder


def test_every_system_is_measured_beside_the_plain_way(arch: str, tmp_path: Path, eyes_folder: Path) -> None:
    tower = random_tower(arch)
    gate = json.loads((make_tiny_release(tmp_path / "tiny") / "gate.json").read_text())
    write_base(tmp_path / "base", tower, export_tower(tower), gate, views=("full", "pupil"))
    photos = benchphotos.photos_of(eyes_folder)
    said: list[str] = []
    rows, costs = bench.measure(tmp_path / "base", photos, arch=arch, rounds=1, callers=2, say=said.append)

    systems = [release.verify(tmp_path / "base").id, f"{ARCH} fp32", f"{ARCH} int8"]
    assert [(row.system, row.callers) for row in rows] == [(name, n) for name in systems for n in (1, 2)]
    for row in rows:
        assert row.photos == "given" and row.plain is not None and row.ratio is not None
        assert 0 < row.ours.median_ms <= row.ours.p95_ms and row.ours.per_second > 0
        assert row.ours.cpu_ms > 0 and row.plain.cpu_ms > 0
        ratio = row.plain.median_ms / row.ours.median_ms
        expected = ratio if row.callers == 1 else row.ours.per_second / row.plain.per_second
        assert row.ratio == pytest.approx(expected, rel=0.02, abs=0.02)
    assert [cost.system for cost in costs] == systems
    # Both pipelines compute the same numbers: only 16-bit and int8 weights move them a little.
    assert all(cost.same_answer is not None and cost.same_answer > 0.99 for cost in costs)
    assert costs[1].same_answer is not None and costs[1].same_answer > 0.9999


def test_a_base_release_knows_nothing_and_says_so(arch: str, tmp_path: Path) -> None:
    tower = random_tower(arch)
    gate = json.loads((make_tiny_release(tmp_path / "tiny") / "gate.json").read_text())
    write_base(tmp_path / "base", tower, export_tower(tower), gate)
    cascade = Cascade.load(tmp_path / "base")
    cascade.check_golden()
    for opacity in (0.0, 1.0):
        outcome = cascade.predict([render_eye(1, opacity=opacity)], mode="cascade")[0]
        assert outcome.route == "fast+accurate" and outcome.probability == pytest.approx(0.5, abs=1e-6)
        assert outcome.needs_review and "uncertain" in outcome.reasons


@pytest.mark.django_db
def test_the_command_without_torch_measures_ours(
    champion: object, eyes_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    out, err = StringIO(), StringIO()
    call_command("bench", images=eyes_folder, rounds=1, callers=2, json=True, stdout=out, stderr=err)
    said = json.loads(out.getvalue())
    assert "torch is not installed" in err.getvalue() and "make install" in err.getvalue()
    assert [row["callers"] for row in said["rows"]] == [1, 2] and said["threads"] == 1
    assert all(row["ours"]["median_ms"] > 0 and row["plain"] is row["ratio"] is None for row in said["rows"])
    assert said["escalation"][0]["share"] > 0

    out = StringIO()
    call_command("bench", images=eyes_folder, rounds=1, callers=2, stdout=out, stderr=err)
    assert "asking the accurate model adds" in out.getvalue() and "tiny-" in out.getvalue()


@pytest.mark.django_db
def test_what_cannot_be_measured_is_said(champion: object, tmp_path: Path, eyes_folder: Path) -> None:
    with pytest.raises(CommandError, match="no usable photo"):
        call_command("bench", images=tmp_path / "nowhere")
    with pytest.raises(CommandError, match="at least 1"):
        call_command("bench", rounds=0)
    with pytest.raises(CommandError, match="knows no architecture 'ViT-Z'"):
        call_command("bench", images=eyes_folder, arch="ViT-Z", stderr=StringIO())


def test_the_large_photo_is_one_of_a_camera() -> None:
    data = benchphotos.detailed_photo()
    header = images.inspect(data)
    assert (header.width, header.height) == (4000, 3000) and 2e6 < len(data) < 4e6
    assert images.decode(data).dtype == np.uint8


def test_a_retraining_on_cached_embeddings_is_timed(db: None) -> None:
    out = StringIO()
    call_command("bench", training=True, embeddings=200, trials=1, json=True, stdout=out, stderr=StringIO())
    found = json.loads(out.getvalue())
    starter = json.loads((settings.STARTER_DIR / "manifest.json").read_text())
    assert (found["photos"], found["trials"], found["inputs"]) == (200, 1, starter["encoder"]["dim"])
    assert found["processor_seconds"] > 0 and found["seconds"] > 0
    with pytest.raises(CommandError, match="at least 100 embeddings"):
        call_command("bench", training=True, embeddings=1, stderr=StringIO())
