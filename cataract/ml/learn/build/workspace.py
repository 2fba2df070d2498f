"""One running build: its inputs, its checkpoint, and the hidden folder in which the release is written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cataract.ml.encoding import framing
from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.reporter import Reporter
from cataract.ml.release.manifest import Manifest, verify

_COPIED = (
    "trunk.onnx",
    "embed.onnx",
    framing.FILE,
    "gate.json",
    "encoder.safetensors",
    "open_clip.json",
    "start.safetensors",
)


@dataclass(frozen=True)
class Build:
    """What the steps of one build share. folder: where the release is written until it is complete."""

    folder: Path
    base: Path
    base_manifest: Manifest
    data: TrainingData
    config: BuildConfig
    checkpoint: Checkpoint
    reporter: Reporter

    @classmethod
    def begin(cls, folder: Path, base: Path, data: TrainingData, config: BuildConfig, reporter: Reporter) -> "Build":
        """Raises ReleaseCorrupt, and ValueError for a base that the accurate model cannot be trained from."""
        manifest = verify(base)
        if config.trains_accurate and not (base / "encoder.safetensors").exists():
            raise ValueError(f"Release {manifest.id} carries no encoder to train from; train the fast model only.")
        checkpoint = Checkpoint.of(config.checkpoint, _question(manifest, data, config))
        return cls(folder, base, manifest, data, config, checkpoint, reporter)

    def enter(self, stage: str, message: str) -> None:
        """Begin a stage. Raises Cancelled."""
        self.reporter.check_stop()
        self.reporter.progress(stage, 0.0, message)

    def copy_encoder(self) -> None:
        for name in _COPIED:
            if (self.base / name).exists():
                self.copy(name)

    def copy(self, name: str) -> None:
        """Copy one file from the base release."""
        shutil.copyfile(self.base / name, self.folder / name)


@contextmanager
def staging_folder(out_dir: Path) -> Iterator[Path]:
    """A hidden folder beside `out_dir`. It is renamed to `out_dir` at the end, or removed on an error."""
    folder = out_dir.with_name(f".{out_dir.name.lstrip('.')}.{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.replace(out_dir)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _question(base: Manifest, data: TrainingData, config: BuildConfig) -> dict[str, Any]:
    """Everything that the result of a build depends on. A checkpoint with another value is discarded."""
    rows = zip(data.sha256s, data.y.tolist(), data.clusters.tolist(), data.splits, strict=True)
    photos = config.distillation
    return {
        "base": base.sha256,
        "rows": [list(row) for row in rows],
        "weights": data.weights.tolist(),
        "taught": [list(photos.sha256s), photos.weight, photos.floor] if photos else [],
        "options": [
            *(config.kind, config.seed, config.search, config.trials, config.seconds, config.epochs, config.device)
        ],
    }
