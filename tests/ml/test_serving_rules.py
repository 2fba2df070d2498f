"""What holds for every release that serves: nothing is unpickled, the same photo gets the same answer in every process,
and a modified folder is refused before any of its files is parsed.

`test_release.py` damages each file of a folder. These tests make the changes that only an attacker thinks of, and watch
a whole process while it verifies, loads, checks, predicts and explains.
"""

import ast
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.photos import images
from cataract.ml.release import manifest as release
from cataract.ml.release.manifest import MANIFEST, ReleaseCorrupt
from cataract.ml.synthetic import render_eye

ROOT = Path(__file__).resolve().parent.parent.parent
STARTER = ROOT / "cataract" / "starter"

# Libraries may import pickle, torch may be installed: it is using them that raises. The C unpickler is reached as
# `pickle.Unpickler`, `_pickle.Unpickler`, `pickle.loads`, `_pickle.loads`; numpy and shelve go through those names.
_FORBID = """
import _pickle, builtins, json, marshal, pickle, sys
from pathlib import Path

class Used(BaseException):
    pass  # no `except Exception` on the way can swallow it

def refuse(name):
    def used(*args, **kwargs):
        raise Used(name)
    return used

class NoUnpickler:
    def __init__(self, *args, **kwargs):
        raise Used("Unpickler")

def forbid():
    import joblib, numpy
    for module in (pickle, _pickle):
        for name in ("load", "loads"):
            setattr(module, name, refuse(f"{module.__name__}.{name}"))
        module.Unpickler = NoUnpickler
    pickle._Unpickler = NoUnpickler
    for name in ("_load", "_loads"):
        setattr(pickle, name, refuse(name))
    joblib.load = refuse("joblib.load")
    joblib.numpy_pickle.load = refuse("joblib.load")
    numpy.lib._npyio_impl.pickle = pickle
    real_import = builtins.__import__
    def guarded(name, *args, **kwargs):
        if name.split(".")[0] in ("torch", "open_clip", "timm", "dill", "cloudpickle"):
            raise Used(f"import of {name}")
        return real_import(name, *args, **kwargs)
    builtins.__import__ = guarded
"""

_SERVE = (
    _FORBID
    + """
import cv2, lightgbm, numpy, onnxruntime, PIL.Image
forbid()
for use in (lambda: pickle.loads(b"N."), lambda: joblib_load(), lambda: __import__("torch")):
    try:
        import joblib
        joblib_load = lambda: joblib.load("nothing")
        use()
    except Used:
        continue
    raise SystemExit("the guard does not guard")

from cataract.ml.cascade import explain
from cataract.ml.photos import images
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.synthetic import render_eye
import io
cascade = Cascade.load(Path(sys.argv[1]))
cascade.check_golden()
file = io.BytesIO()
PIL.Image.fromarray(render_eye(5, opacity=0.4)).save(file, "JPEG")
photo = images.decode(file.getvalue())
answers = []
for mode in ("cascade", "fast", "accurate", "always"):
    outcome = cascade.predict([photo], mode=mode)[0]
    answers.append([outcome.decision, outcome.fast_score, outcome.accurate_score, outcome.probability])
explain.heatmap(cascade, photo)
print(json.dumps([answers, cascade.embed([photo])[0].astype(float).tolist()]))
"""
)


def _serve(folder: Path, script: str = _SERVE, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=["tiny", "starter"])
def served(request: pytest.FixtureRequest, tiny_release: Path) -> Path:
    """A small release of the tests, and the one that is shipped."""
    return STARTER if request.param == "starter" else tiny_release


def test_another_process_unpickles_nothing_and_gives_the_same_answers(served: Path) -> None:
    answers, embedding = _serve(served, PYTHONHASHSEED="7", OMP_NUM_THREADS="2")

    cascade, photo = Cascade.load(served), _through_jpeg(render_eye(5, opacity=0.4))
    for mode, (decision, *expected) in zip(("cascade", "fast", "accurate", "always"), answers, strict=True):
        outcome = cascade.predict([photo], mode=mode)[0]
        found = (outcome.fast_score, outcome.accurate_score, outcome.probability)
        assert outcome.decision == decision
        assert [value is None for value in found] == [value is None for value in expected]
        assert [value or 0.0 for value in found] == pytest.approx([value or 0.0 for value in expected], abs=1e-6)
    assert np.abs(cascade.embed([photo])[0] - np.array(embedding)).max() <= 1e-6


def _through_jpeg(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return images.decode(file.getvalue())


def test_one_cascade_repeats_itself(served: Path) -> None:
    cascade = Cascade.load(served)
    photos = [render_eye(seed, opacity=seed % 3 / 2, size=200) for seed in range(4)]
    first = cascade.predict(photos, mode="always")
    for outcome, again in zip(first, reversed(cascade.predict(photos[::-1], mode="always")), strict=True):
        assert (outcome.decision, outcome.reasons, outcome.route) == (again.decision, again.reasons, again.route)
        assert (outcome.fast_score, outcome.accurate_score) == (again.fast_score, again.accurate_score)
        assert outcome.embedding is not None and again.embedding is not None
        assert np.array_equal(outcome.embedding, again.embedding)


_FORBIDDEN = {"pickle", "_pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
_FORBIDDEN_CALLS = {("torch", "load"), ("torch", "save"), ("np", "save"), ("numpy", "save")}


def test_no_module_of_ours_names_pickle() -> None:
    """The whole program, training too: weights are safetensors, the rest JSON, text and ONNX."""
    found = []
    for app in ("cataract", "predictions", "review", "training"):
        for path in sorted((ROOT / app).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(ROOT)}: {fault}" for node in ast.walk(tree) for fault in _faults(node)]
    assert not found, "\n".join(found)


def _faults(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] in _FORBIDDEN]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        return [node.module] if node.module.split(".")[0] in _FORBIDDEN else []
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        pair = (node.value.id, node.attr)
        return [".".join(pair)] if pair in _FORBIDDEN_CALLS else []
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        return [] if isinstance(node.value, ast.Constant) and node.value.value is False else ["allow_pickle"]
    return []


# --- Damage beyond that of test_release.py ---


@pytest.fixture
def folder(tiny_release: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copytree(tiny_release, tmp_path / "copy"))


@pytest.fixture
def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test fails when ONNX Runtime or LightGBM are given anything."""

    def parsed(*args: object, **kwargs: object) -> None:
        pytest.fail("something of a harmed release was parsed")  # no `except Exception` swallows this

    monkeypatch.setattr(onnxruntime, "InferenceSession", parsed)
    monkeypatch.setattr(lightgbm, "Booster", parsed)


@pytest.mark.parametrize("position", ["first", "last"])
@pytest.mark.parametrize("name", ["trunk.onnx", "fast.txt", "gate.json"])
def test_one_flipped_bit_at_either_end(folder: Path, name: str, position: str, nothing_is_parsed: None) -> None:
    data = bytearray((folder / name).read_bytes())
    data[0 if position == "first" else -1] ^= 0x80
    (folder / name).write_bytes(data)
    with pytest.raises(ReleaseCorrupt, match=name):
        Cascade.load(folder)


@pytest.mark.parametrize("size", [0, 1, "half", "one more"])
def test_another_length(folder: Path, size: int | str, nothing_is_parsed: None) -> None:
    data = (folder / "accurate.onnx").read_bytes()
    cut = {"half": data[: len(data) // 2], "one more": data + b"\0"}
    (folder / "accurate.onnx").write_bytes(cut[size] if isinstance(size, str) else data[:size])
    with pytest.raises(ReleaseCorrupt, match=r"accurate\.onnx"):
        Cascade.load(folder)


def test_two_files_of_the_release_exchanged(folder: Path, nothing_is_parsed: None) -> None:
    embed, accurate = folder / "embed.onnx", folder / "accurate.onnx"
    one, other = embed.read_bytes(), accurate.read_bytes()
    embed.write_bytes(other), accurate.write_bytes(one)
    with pytest.raises(ReleaseCorrupt):
        Cascade.load(folder)


def test_a_file_of_another_release(folder: Path, nothing_is_parsed: None) -> None:
    shutil.copyfile(STARTER / "fast.txt", folder / "fast.txt")
    with pytest.raises(ReleaseCorrupt, match=r"fast\.txt"):
        Cascade.load(folder)


def test_a_whole_other_release_is_not_the_one_on_record(folder: Path) -> None:
    on_record = release.verify(folder).sha256
    shutil.rmtree(folder)
    shutil.copytree(STARTER, folder)
    release.verify(folder)
    with pytest.raises(ReleaseCorrupt, match="not the one on record"):
        release.verify(folder, sha256=on_record)


@pytest.mark.parametrize("kind", ["to a copy of itself", "to nowhere", "to a folder"])
def test_a_listed_file_that_is_a_link(folder: Path, tmp_path: Path, kind: str, nothing_is_parsed: None) -> None:
    path = folder / "policy.json"
    kept = tmp_path / "elsewhere.json"
    shutil.copyfile(path, kept)
    path.unlink()
    path.symlink_to({"to a copy of itself": kept, "to nowhere": tmp_path / "nothing", "to a folder": tmp_path}[kind])
    with pytest.raises(ReleaseCorrupt, match=r"policy\.json"):
        Cascade.load(folder)


def test_a_folder_in_place_of_a_file(folder: Path, nothing_is_parsed: None) -> None:
    (folder / "embed.onnx").unlink()
    (folder / "embed.onnx").mkdir()
    with pytest.raises(ReleaseCorrupt, match=r"embed\.onnx"):
        Cascade.load(folder)


def test_what_the_manifest_does_not_list_is_never_read(folder: Path, tmp_path: Path) -> None:
    """An extra file or link beside the listed ones changes nothing: no name is taken from the folder's listing."""
    before = _answers(folder)
    (folder / "extra.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (folder / "weights.onnx").symlink_to(tmp_path / "nothing")
    assert _answers(folder) == before


def test_a_name_that_leaves_the_folder_is_refused(folder: Path, tmp_path: Path, nothing_is_parsed: None) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    stated = {"sha256": hashlib.sha256(b"secret").hexdigest(), "size": 6}
    for name in ("../outside.txt", str(outside), "a/../../outside.txt", "..", ""):
        raw = json.loads((folder / MANIFEST).read_text())
        raw["files"][name] = stated
        (folder / MANIFEST).write_text(json.dumps(raw))
        with pytest.raises(ReleaseCorrupt, match="malformed"):
            Cascade.load(folder)
        del raw["files"][name]
        (folder / MANIFEST).write_text(json.dumps(raw))


@pytest.mark.parametrize("change", [{"size": True}, {"size": -1}, {"sha256": "0" * 64}, {"sha256": 0}])
def test_a_manifest_that_states_something_else(
    folder: Path, change: dict[str, object], nothing_is_parsed: None
) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    raw["files"]["trunk.onnx"] |= change
    (folder / MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(ReleaseCorrupt):
        Cascade.load(folder)


def test_a_file_changed_between_the_check_and_the_reading(folder: Path, nothing_is_parsed: None) -> None:
    manifest = release.verify(folder)
    data = bytearray((folder / "trunk.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "trunk.onnx").write_bytes(data)
    with pytest.raises(ReleaseCorrupt, match=r"trunk\.onnx"):
        Cascade.assemble(folder, manifest)


def _answers(folder: Path) -> list[tuple[object, ...]]:
    outcomes = Cascade.load(folder).predict([render_eye(1), render_eye(2, opacity=1.0)], mode="always")
    return [(one.decision, one.fast_score, one.accurate_score, one.release_id) for one in outcomes]
