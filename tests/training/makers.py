"""Synthetic eyes as stored, labelled photos, and builds that make a tiny release instead of a fitted one."""

import functools
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.reporter import Reporter
from cataract.ml.release.manifest import Manifest, read_manifest
from cataract.ml.synthetic import render_eye
from predictions.photos.models import Split
from review.labels.models import Label
from tests.factories import EyeImageFactory, LabelFactory
from tests.releases import make_tiny_release


@functools.cache
def photo_bytes(seed: int, answer: str, shade: float = 1.0) -> bytes:
    """A synthetic eye as PNG, darker or brighter by `shade`; drawn once per session."""
    file = io.BytesIO()
    photo = Image.fromarray(render_eye(seed, opacity=1.0 if answer == "cataract" else 0.0))
    ImageEnhance.Brightness(photo).enhance(shade).save(file, "PNG")
    return file.getvalue()


def label_photo(answer: str, split: str, seed: int, *, shade: float = 1.0, **facts: Any) -> Label:
    """One stored synthetic eye with an imported label, in a cluster of its own in `split`.

    Clusters are not formed by similarity here: synthetic eyes resemble each other more than photos do.
    """
    from predictions.photos import storage

    data = photo_bytes(seed, answer, shade)
    name, digest = storage.store(data, suffix=".png")
    values = {
        "sha256": digest,
        "stored_name": name,
        "original_name": f"eye{seed}.png",
        "format": "PNG",
        "width": 320,
        "height": 320,
        "size": len(data),
        "perceptual_hash": f"{seed:016x}",
        "eye": "",
        "split": split,
        "source": "import",
    }
    return LabelFactory.create(answer=answer, image=EyeImageFactory.create(**values | facts))


def label_photos(train: int = 10, calibration: int = 3, test: int = 3) -> list[Label]:
    """Labelled eyes, that many per class in each split; the defaults suffice for a dataset. Call it once per test."""
    seeds = itertools.count(1)
    made = []
    for split, count in ((Split.TRAIN, train), (Split.CALIBRATION, calibration), (Split.TEST, test)):
        for answer in ("normal", "cataract"):
            made += [label_photo(answer, split.value, next(seeds)) for _ in range(count)]
    return made


# As `search` reports them: one that was finished, and one that was given up after its first fold.
TRIALS: tuple[dict[str, Any], ...] = (
    {
        "trial": 0,
        "params": {"num_leaves": 7},
        "pruned": False,
        "folds": [0.3, 0.4],
        "fold_losses": [0.3, 0.5],
        "log_loss": 0.4,
        "roc_auc": 0.9,
        "is_best": True,
        "seconds": 2.0,
    },
    {
        "trial": 1,
        "params": {"num_leaves": 9},
        "pruned": True,
        "folds": [0.1],
        "fold_losses": [0.1],
        "log_loss": 0.1,
        "is_best": False,
        "seconds": 1.0,
    },
)


def tiny_build(folder: Path, base: Path, data: TrainingData, config: BuildConfig, reporter: Reporter) -> Manifest:
    """A build with the signature of `build_release` that fits nothing and makes a tiny release."""
    assert set(data.splits) <= {"train", "calibration"}, "a build was handed photos that it must not see"
    assert (base / "manifest.json").is_file()
    reporter.progress("fast", 0.4, f"{len(data.paths)} photos")
    for trial in range(2):
        reporter.metric(TRIALS[trial], trial)
    reporter.metric({"trees": 10, "validation_log_loss": 0.4}, 10)
    reporter.metric({"validation_loss": 0.5}, 1)
    make_tiny_release(folder, name="challenger")
    return read_manifest(folder)


def capture_published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Catch what would go to the broker: (task, id)."""
    from training.comparison.tasks import compare_releases
    from training.label_checks.tasks import check_labels
    from training.runs.tasks import run_training

    sent: list[tuple[str, str]] = []
    tasks = {"run_training": run_training, "compare_releases": compare_releases, "check_labels": check_labels}
    for name, task in tasks.items():
        monkeypatch.setattr(task, "delay", lambda value, name=name: sent.append((name, value)))
    monkeypatch.setattr("cataract.core.broker.nudge._in_background", lambda publish: publish())
    return sent
