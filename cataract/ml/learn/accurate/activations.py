"""Activations of the frozen trunk, kept in files: a fit reads the rows of one batch, so memory does not grow with the
photos.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.encoding.encoder import EncoderSpec, Graph, normalise, prepare
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.accurate.augment import changes, random_crop
from cataract.ml.learn.accurate.device import Device
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.towers.cut import split
from cataract.ml.learn.towers.towers import load_encoder
from cataract.ml.release.manifest import read_manifest, write_json

CHANGED = 6000  # augmented crops in all, where the photos are not more: then each photo has one
_MOST_CHANGED = 16  # augmented crops of one photo
_SAVE_EVERY = 100  # photos; a kill costs seconds
_BATCH = 64  # inputs of the trunk at once, on a CUDA device
_MEASURED = 20  # photos after which the speed is known

Trunk = Callable[[Floats], Floats]


class TooSlow(ValueError):
    """The photos cannot pass the trunk in the time that is left. The message says what to do."""


class NoSpace(ValueError):
    """The activations do not fit on the disk."""


@dataclass(frozen=True)
class StoredRows:
    """Some rows of an array in a .npy file. Indexing copies what is asked for into memory; `take` reads nothing.

    The file is mapped for the time of one access: pages of a lasting map would count as memory of the process.
    """

    path: Path
    rows: NDArray[np.intp]

    @classmethod
    def whole(cls, path: Path) -> "StoredRows":
        return cls(path, np.arange(len(np.load(path, mmap_mode="r"))))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *np.load(self.path, mmap_mode="r").shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> NDArray[np.float16]:
        first, *others = index if isinstance(index, tuple) else (index,)
        return np.array(np.load(self.path, mmap_mode="r")[(self.rows[first], *others)])

    def take(self, chosen: NDArray[Any]) -> "StoredRows":
        """These rows of it: indices or a mask."""
        return StoredRows(self.path, self.rows[chosen])


@dataclass(frozen=True)
class Activations:
    """The trunk's output. plain: (N, V, ...) of the serving views; changed: (N, K, ...) of K augmentations of each."""

    plain: StoredRows
    changed: StoredRows

    def take(self, chosen: NDArray[Any]) -> "Activations":
        return Activations(self.plain.take(chosen), self.changed.take(chosen))


def compute_activations(
    release_folder: Path,
    photos: Sequence[Pixels],
    folder: Path,
    *,
    seed: int = 0,
    device: Device | None = None,
    reporter: Reporter = SILENT,
) -> Activations:
    """The trunk's activations of every photo, written into `folder`: of its serving views, and of augmented crops.

    What an earlier call wrote into `folder` is not computed again. release_folder must be verified.
    Raises NoSpace, TooSlow when the run has not enough time left for it, Cancelled.
    """
    device = device or Device()
    spec = read_manifest(release_folder).encoder
    trunk = open_trunk(release_folder, device)
    copies = int(np.clip(CHANGED // max(1, len(photos)), 1, _MOST_CHANGED))
    files, done = _begin(folder, len(photos), len(spec.views), copies, trunk, spec)
    at_once = 1 if device.is_plain else max(1, _BATCH // copies)
    change = changes(spec.image_size)
    began, begun = time.monotonic(), done
    while done < len(photos):
        reporter.check_stop()
        plain, changed = [], []
        for index in range(done, min(done + at_once, len(photos))):
            photo = photos[index]
            pupil = find_pupil(photo)
            plain.append(prepare(photo, spec, pupil))
            rng = np.random.default_rng((seed, index))
            change.set_random_seed(int(rng.integers(2**31)))
            crops = [change(image=random_crop(photo, pupil, spec.image_size, rng))["image"] for _ in range(copies)]
            changed.append(normalise(crops, spec))
        for path, inputs in zip(files, (plain, changed), strict=True):
            _write(path, done, _through(trunk, inputs))
        before, done = done, done + len(plain)
        if done // _SAVE_EVERY > before // _SAVE_EVERY or done == len(photos):
            write_json(folder / "done.json", done)
        _report(reporter, done, len(photos), done - begun, time.monotonic() - began)
    return Activations(*(StoredRows.whole(path) for path in files))


def open_trunk(release_folder: Path, device: Device) -> Trunk:
    """The trunk of a release, (N, 3, S, S) -> (N, ...): its ONNX graph, or on a CUDA device its weights in torch."""
    import torch

    if device.is_plain:
        threads = torch.get_num_threads()
        return Graph(
            (release_folder / "trunk.onnx").read_bytes(), providers=("CPUExecutionProvider",), threads=threads
        ).run
    model: Any = load_encoder(release_folder)
    network = split(model.visual)[0].to(device.name).eval()

    def run(batch: Floats) -> Floats:
        parts = []
        with torch.no_grad(), device.computing():
            for first in range(0, len(batch), _BATCH):
                parts.append(network(device.put(batch[first : first + _BATCH])).float().cpu().numpy())
        return np.concatenate(parts)

    return run


def _begin(
    folder: Path, photos: int, views: int, copies: int, trunk: Trunk, spec: EncoderSpec
) -> tuple[tuple[Path, Path], int]:
    """The two files, made where they are missing, and for how many photos they are filled."""
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "plain.npy", folder / "changed.npy")
    if (folder / "done.json").exists() and all(path.exists() for path in files):
        return files, int(json.loads((folder / "done.json").read_text(encoding="utf-8")))
    one = trunk(np.zeros((1, 3, spec.image_size, spec.image_size), dtype=np.float32)).shape[1:]
    needed, free = 2 * photos * (views + copies) * int(np.prod(one)), shutil.disk_usage(folder).free
    if needed > 0.9 * free:
        raise NoSpace(
            f"The activations of {photos:,} photos need {needed / 1e9:.1f} GB on the disk of the releases, and "
            f"{free / 1e9:.1f} GB are free. Make room, or train from a smaller encoder."
        )
    for path, count in zip(files, (views, copies), strict=True):
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(photos, count, *one))
    return files, 0


def _through(trunk: Trunk, inputs: list[Floats]) -> Floats:
    """(inputs, K, ...): the trunk's output of each photo's K inputs, all in one call."""
    outputs = trunk(np.concatenate(inputs))
    return outputs.reshape(len(inputs), len(inputs[0]), *outputs.shape[1:])


def _write(path: Path, first: int, values: Floats) -> None:
    stored = np.load(path, mmap_mode="r+")
    stored[first : first + len(values)] = values
    stored.flush()


def _report(reporter: Reporter, done: int, photos: int, measured: int, seconds: float) -> None:
    """Say how fast it is and how long it takes. Raises TooSlow."""
    if measured < _MEASURED or done >= photos:
        return
    speed = measured / max(seconds, 1e-6)
    left = (photos - done) / speed
    if left > reporter.seconds_left():
        raise TooSlow(
            f"The encoder sees {speed:.1f} photos per second here: {photos - done:,} photos take {left / 3600:.1f} "
            f"hours, and the run has {reporter.seconds_left() / 3600:.1f}. Raise TRAINING_MAX_HOURS, train from a "
            "smaller encoder, or set TRAINING_DEVICE to a CUDA device."
        )
    reporter.progress("accurate", 0.0, f"photo {done} of {photos}, {speed:.1f} per second, {left / 60:.0f} min left")
