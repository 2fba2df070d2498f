"""Drawn eyes as stored, labelled photos, and builds that make a tiny release instead of a fitted one."""

import functools
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from PIL import Image

from cataract.ml.release.manifest import Manifest, read_manifest
from cataract.ml.synthetic import render_eye
from cataract.roles import ensure_roles
from predictions.photos.models import Cluster, EyeImage, Split
from review.labels.models import Label
from tests.releases import make_tiny_release

_numbers = itertools.count(1)


def make_user(role: str) -> User:
    """A user of one role; `admin` may enter the admin pages."""
    ensure_roles()
    user = User.objects.create_user(
        f"{role}{next(_numbers)}", password="a long password", is_staff=role in ("admin", "auditor")
    )
    user.groups.add(Group.objects.get(name=role))
    return user


@functools.cache
def photo_bytes(seed: int, answer: str) -> bytes:
    """A drawn eye as PNG; drawn once a session."""
    file = io.BytesIO()
    Image.fromarray(render_eye(seed, opacity=1.0 if answer == "cataract" else 0.0)).save(file, "PNG")
    return file.getvalue()


def label_photo(answer: str, split: str, seed: int, **facts: Any) -> Label:
    """One drawn eye, stored, in a cluster of its own in `split`, with an imported label.

    Drawn eyes resemble each other more than photos do, so that the cluster is made here and not by likeness.
    """
    from predictions.photos import storage

    data = photo_bytes(seed, answer)
    name, digest = storage.store(data, suffix=".png")
    image = EyeImage.objects.create(
        sha256=digest,
        stored_sha256=digest,
        stored_name=name,
        original_name=f"eye{seed}.png",
        format="PNG",
        width=320,
        height=320,
        size=len(data),
        perceptual_hash=f"{seed:016x}",
        cluster=Cluster.objects.create(split=split),
        split=split,
        source="import",
        **facts,
    )
    return Label.objects.create(image=image, answer=answer, provenance="imported", may_train=True)


def label_photos(train: int = 10, calibration: int = 3, test: int = 3) -> list[Label]:
    """That many drawn eyes of each class in each split: enough for a dataset by default. Once a test."""
    seeds = itertools.count(1)
    made = []
    for split, count in ((Split.TRAIN, train), (Split.CALIBRATION, calibration), (Split.TEST, test)):
        for answer in ("normal", "cataract"):
            made += [label_photo(answer, split.value, next(seeds)) for _ in range(count)]
    return made


def tiny_build(folder: Path, base: Path, data: Any, **options: Any) -> Manifest:
    """A build with the signature of `build_release` that fits nothing and makes a tiny release."""
    assert set(data.splits) <= {"train", "calibration"}, "a build was handed photos that it must not see"
    assert (base / "manifest.json").is_file()
    options["on_progress"]("fast", 0.4, f"{len(data.paths)} photos")
    for trial in range(2):
        options["on_metrics"]({"trial": trial, "params": {"num_leaves": 7}, "roc_auc": 0.9}, trial)
    options["on_metrics"]({"loss": 0.5}, 1)
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
    monkeypatch.setattr("cataract.core.nudge._in_background", lambda publish: publish())
    return sent
