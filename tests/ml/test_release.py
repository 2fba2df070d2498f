"""A modified release is refused before any of its files is parsed, and no release needs pickle."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.release import manifest as release
from cataract.ml.release.manifest import MANIFEST, REQUIRED, ReleaseCorrupt
from tests.releases import make_tiny_release


@pytest.fixture
def folder(tiny_release: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copytree(tiny_release, tmp_path / "copy"))


def test_an_intact_release_is_verified(folder: Path) -> None:
    manifest = release.verify(folder)
    assert manifest.id.startswith("tiny-") and set(REQUIRED) <= set(manifest.files)
    assert release.verify(folder, sha256=manifest.sha256) == manifest
    with pytest.raises(ReleaseCorrupt, match="not the one on record"):
        release.verify(folder, sha256="0" * 64)


@pytest.mark.parametrize("name", [*REQUIRED, "card.md", "seen.json"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "swap", "link"])
def test_harm_to_any_file_is_found_before_parsing(
    folder: Path, tmp_path: Path, name: str, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", _only_the_manifest(json.loads))
    path = folder / name
    data = bytearray(path.read_bytes())
    match harm:
        case "flip":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "truncate":
            path.write_bytes(data[:-1])
        case "remove":
            path.unlink()
        case "swap":
            path.write_bytes((folder / ("policy.json" if name != "policy.json" else "gate.json")).read_bytes())
        case "link":
            shutil.move(path, tmp_path / name)
            path.symlink_to(tmp_path / name)
    with pytest.raises(ReleaseCorrupt, match=name):
        Cascade.load(folder)


def _only_the_manifest(loads: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(text: bytes, *args: Any, **kwargs: Any) -> Any:
        assert b'"files"' in text, "something else than the manifest was parsed"
        return loads(text, *args, **kwargs)

    return guarded


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 2}', '{"format": 1}', '{"format": 1, "files": {"../x": {}}}', "[" * 100_000]
)
def test_a_manifest_that_makes_no_sense_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ReleaseCorrupt):
        release.verify(folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ReleaseCorrupt, match="not a release folder"):
            release.verify(path)


def test_an_honest_manifest_over_nonsense_is_corrupt_too(folder: Path) -> None:
    manifest = release.read_manifest(folder)
    (folder / "trunk.onnx").write_bytes(b"no graph")
    with pytest.raises(ReleaseCorrupt, match="cannot be loaded"):
        release.write_manifest(folder, manifest)
        Cascade.load(folder)


def test_a_fast_model_of_another_width_is_refused(folder: Path) -> None:
    manifest = release.read_manifest(folder)
    text = (folder / "fast.txt").read_text()
    width = manifest.encoder.dim
    (folder / "fast.txt").write_text(
        text.replace(f"max_feature_idx={width - 1}", f"max_feature_idx={width}")
        .replace("feature_names=", "feature_names=Extra ")
        .replace("feature_infos=", "feature_infos=none ")
    )
    with pytest.raises(ReleaseCorrupt, match="features"):
        release.write_manifest(folder, manifest)
        Cascade.load(folder)


def test_the_manifest_is_the_last_thing_written(tiny_release: Path, tmp_path: Path) -> None:
    (tmp_path / "trunk.onnx").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"accurate\.onnx"):
        release.write_manifest(tmp_path, release.read_manifest(tiny_release))
    assert not (tmp_path / MANIFEST).exists()


def test_the_id_follows_the_content(tmp_path: Path) -> None:
    one, same, other = (make_tiny_release(tmp_path / str(i), seed=seed) for i, seed in enumerate((0, 0, 1)))
    first, second, third = (release.verify(folder) for folder in (one, same, other))
    assert first.id == second.id != third.id
    assert first.encoder.hash == second.encoder.hash != third.encoder.hash


_NO_PICKLE = """
import sys, importlib.abc
from pathlib import Path
folder = Path(sys.argv[1])
import numpy, cv2, PIL.Image, onnxruntime, lightgbm  # libraries may import pickle; no code may call it
import pickle, joblib
def forbidden(*args, **kwargs):
    raise AssertionError("pickle was used")
for module, names in ((pickle, ("load", "loads", "Unpickler", "_Unpickler")), (joblib, ("load",))):
    for name in names:
        setattr(module, name, forbidden)
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.synthetic import render_eye
cascade = Cascade.load(folder)
cascade.check_golden()
assert cascade.predict([render_eye(1)], mode="always")[0].probability is not None
assert not {"torch", "open_clip", "timm", "albumentations"} & set(sys.modules)
"""

_LIGHT = """
import sys
import cataract.ml.cascade.cascade, cataract.ml.photos.images, cataract.ml.cascade.explain
import cataract.ml.statistics.metrics, cataract.ml.cascade.calibration
heavy = {"torch", "open_clip", "timm", "albumentations", "sklearn", "scipy", "lightgbm", "onnxruntime"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


@pytest.mark.parametrize("script", [_NO_PICKLE, _LIGHT], ids=["no pickle, no torch while serving", "light import"])
def test_in_a_process_of_its_own(tiny_release: Path, script: str) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny_release)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
