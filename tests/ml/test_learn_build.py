"""Building a release from labelled photos: complete or not at all, reproducibly, and never on the test split."""

import json
import shutil
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.build.build import LightInstall, build_release
from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.build.distillation import Distillation
from cataract.ml.learn.reporter import Cancelled
from cataract.ml.learn.vectors.changed_copies import embed_copies
from cataract.ml.learn.vectors.embedding_cache import embed_photos
from cataract.ml.synthetic import render_eye
from tests.releases import make_tiny_release
from tests.reporters import RecordingReporter

STAGES = ["reading", "fast", "accurate", "calibration", "quantisation", "writing"]
STARTER = Path(__file__).resolve().parent.parent.parent / "cataract" / "starter"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for seed in range(16):
        paths.append(folder / f"{seed}.png")
        Image.fromarray(render_eye(seed, opacity=0.9 * (seed % 2), size=112)).save(paths[-1])
    splits = ["train"] * 10 + ["calibration"] * 6
    return TrainingData(paths, [f"{n:064x}" for n in range(16)], np.arange(16) % 2, np.arange(16), splits, np.ones(16))


@pytest.fixture(autouse=True)
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changed copies of each photo and one folding: what is asked here does not depend on their number."""
    monkeypatch.setattr("cataract.ml.learn.accurate.activations.CHANGED", 32)
    monkeypatch.setattr("cataract.ml.learn.build.build._REPEATS", 1)


def test_fast_alone_keeps_the_accurate_model_and_repeats_exactly(
    tiny_release: Path, dataset: TrainingData, tmp_path: Path
) -> None:
    reporter = RecordingReporter()
    first = build_release(tmp_path / "a", tiny_release, dataset, BuildConfig(kind="fast", trials=2), reporter)
    assert "accurate" not in reporter.stages, "a run of the fast model says nothing of the other one"
    second = build_release(tmp_path / "b", tiny_release, dataset, BuildConfig(kind="fast", trials=2))
    assert first.id == second.id
    assert (tmp_path / "a" / "accurate.onnx").read_bytes() == (tiny_release / "accurate.onnx").read_bytes()
    assert [values["trial"] for values in reporter.trials] == [0, 1]
    assert first.encoder.hash == Cascade.load(tiny_release).encoder_hash
    assert "too small by itself" in first.data["calibrated_on"]


def test_photos_are_read_once_and_a_withdrawn_one_leaves_the_cache(
    tiny_release: Path, dataset: TrainingData, tmp_path: Path
) -> None:
    cascade, cache = Cascade.load(tiny_release), tmp_path / "photos.npz"
    first = embed_photos(cascade, dataset.paths, dataset.sha256s, cache)
    again = embed_photos(cascade, [tmp_path / "gone"] * 15, dataset.sha256s[1:], cache)
    np.testing.assert_array_equal(again.vectors, first.vectors[1:])
    assert again.hashes == first.hashes[1:]
    with pytest.raises(FileNotFoundError):  # the first photo was not requested, so nothing of it was kept
        embed_photos(cascade, [tmp_path / "gone"], dataset.sha256s[:1], cache)
    other = Cascade.load(make_tiny_release(tmp_path / "other", seed=9))
    with pytest.raises(FileNotFoundError):  # another encoder
        embed_photos(other, [tmp_path / "gone"], dataset.sha256s[1:2], cache)


def test_changed_copies_are_the_same_each_time_and_a_withdrawn_one_leaves_the_cache(
    tiny_release: Path, dataset: TrainingData, tmp_path: Path
) -> None:
    cascade, cache = Cascade.load(tiny_release), tmp_path / "copies.npz"
    first = embed_copies(cascade, dataset.paths[:4], dataset.sha256s[:4], cache)
    assert first.of.tolist() == [row for row in range(4) for _ in range(3)]
    again = embed_copies(cascade, [tmp_path / "gone"] * 3, dataset.sha256s[1:4], cache)
    np.testing.assert_array_equal(again.vectors, first.vectors[3:])
    np.testing.assert_array_equal(
        embed_copies(cascade, dataset.paths[:1], dataset.sha256s[:1]).vectors, first.vectors[:3]
    )
    with pytest.raises(FileNotFoundError):  # it was not requested the last time
        embed_copies(cascade, [tmp_path / "gone"], dataset.sha256s[:1], cache)
    plain = embed_photos(cascade, dataset.paths[:4], dataset.sha256s[:4]).vectors
    assert not np.isclose(first.vectors, plain[first.of]).all(axis=1).any(), "each copy is changed"


@pytest.mark.slow
def test_both_models_from_the_starter(dataset: TrainingData, tmp_path: Path) -> None:
    busy = dict.fromkeys(["start", *STAGES], 0.0)
    import_module("cataract.ml.learn.accurate.fit")  # torch, once a process: seconds in which nothing can ask
    asked_at = time.process_time()  # of the processor: by the clock other work would count

    def asked() -> bool:
        nonlocal asked_at
        since, asked_at = time.process_time() - asked_at, time.process_time()
        stage = reporter.stages[-1] if reporter.stages else "start"
        busy[stage] = max(busy[stage], since)
        return False

    reporter = RecordingReporter(stop=asked)

    manifest = build_release(tmp_path / "new", STARTER, dataset, BuildConfig(trials=1, epochs=2), reporter)
    print({stage: round(seconds, 2) for stage, seconds in busy.items()})
    assert min(busy.values()) > 0 and max(busy.values()) < 10, "every stage asks whether to stop, within 10 s"
    cascade = Cascade.load(tmp_path / "new")
    cascade.check_golden()
    assert list(dict.fromkeys(reporter.stages)) == STAGES
    assert "int8" in manifest.quantisation.decision
    assert all(isinstance(value, float) for value in manifest.metrics.values())
    old, new = (json.loads((folder / "seen.json").read_text())["hashes"] for folder in (STARTER, tmp_path / "new"))
    assert set(old) < set(new)
    assert (tmp_path / "new" / "card.md").read_text().startswith("# Model card")


@pytest.mark.slow
def test_the_figures_of_the_model_that_is_kept_do_not_move(dataset: TrainingData, tmp_path: Path) -> None:
    """Train both, promote, then train one on the same labels: the other one has seen them and must not judge itself."""

    def figures(name: str, base: Path, kind: str) -> dict[str, dict[str, float]]:
        build_release(tmp_path / name, base, dataset, BuildConfig(kind=kind, trials=1, epochs=1))
        return dict(json.loads((tmp_path / name / "metrics.json").read_text()))

    both = figures("both", STARTER, "both")
    after_accurate, after_fast = (figures(kind, tmp_path / "both", kind) for kind in ("accurate", "fast"))
    assert after_accurate["fast"] == both["fast"]
    assert after_fast["accurate"] == both["accurate"]


def test_photos_that_the_kept_model_was_fitted_on_leave_the_pool(
    tiny_release: Path, dataset: TrainingData, tmp_path: Path
) -> None:
    """An older release keeps no out-of-fold scores: what it has seen says nothing about it."""
    one = build_release(tmp_path / "one", tiny_release, dataset, BuildConfig(kind="fast", trials=1))
    two = build_release(tmp_path / "two", tmp_path / "one", dataset, BuildConfig(kind="fast", trials=1))
    assert one.data["calibration_clusters"] == two.data["calibration_clusters"] == 16
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "one", old)
    (old / "out_of_fold.npz").unlink()
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["files"]["out_of_fold.npz"]
    (old / "manifest.json").write_text(json.dumps(manifest))
    three = build_release(tmp_path / "three", old, dataset, BuildConfig(kind="fast", trials=1))
    assert three.data["calibration_clusters"] == 6, "the calibration split alone"


@pytest.mark.slow
def test_it_is_stopped_in_a_stage_and_reaches_no_later_one(dataset: TrainingData, tmp_path: Path) -> None:
    for stage in ("reading", "teaching", "accurate", "quantisation"):
        assert _stopped_in(stage, dataset, tmp_path) == stage
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def _stopped_in(stage: str, dataset: TrainingData, folder: Path) -> str:
    """Stop a build when it has come to `stage`; the last stage that it began."""
    config = BuildConfig(
        trials=1,
        epochs=1,
        distillation=Distillation(dataset.paths[:2], ["t1", "t2"]),
        checkpoint=folder / "checkpoint",  # the next one resumes from it
    )
    reporter = RecordingReporter(stop=lambda: bool(reporter.stages) and reporter.stages[-1] == stage)
    with pytest.raises(Cancelled):
        build_release(folder / "new", STARTER, dataset, config, reporter)
    return reporter.stages[-1]


def test_nothing_is_left_when_it_is_stopped(tiny_release: Path, dataset: TrainingData, tmp_path: Path) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 18  # after the photos were read

    config, reporter = BuildConfig(kind="fast", trials=2), RecordingReporter(stop=stop)
    with pytest.raises(Cancelled):
        build_release(tmp_path / "new", tiny_release, dataset, config, reporter)
    assert list(tmp_path.iterdir()) == []


def test_the_test_split_is_refused(tiny_release: Path, dataset: TrainingData, tmp_path: Path) -> None:
    leaking = replace(dataset, splits=["test", *list(dataset.splits)[1:]])
    with pytest.raises(ValueError, match="must not see photos of the split test"):
        build_release(tmp_path / "new", tiny_release, leaking, BuildConfig(kind="fast", trials=1))


def test_what_cannot_be_built_is_said(tiny_release: Path, dataset: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not 'slow'"):
        build_release(tmp_path / "new", tiny_release, dataset, BuildConfig(kind="slow"))
    with pytest.raises(ValueError, match="no encoder to train from"):
        build_release(tmp_path / "new", tiny_release, dataset, BuildConfig(kind="both"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ValueError, match="there already"):
        build_release(tmp_path / "full", tiny_release, dataset, BuildConfig(kind="fast"))


def test_without_torch_the_accurate_model_is_refused_in_words(
    tiny_release: Path, dataset: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LightInstall, match="torch is not installed"):
        build_release(tmp_path / "new", tiny_release, dataset, BuildConfig(kind="both"))
