"""A fine-tuning's memory does not grow with the photos, its files go away, and it computes on other devices too."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cataract.ml.learn.accurate import activations
from cataract.ml.learn.accurate import fit as accurate
from cataract.ml.learn.accurate.activations import NoSpace, StoredRows, TooSlow, compute_activations
from cataract.ml.learn.accurate.device import Device, NoDevice
from cataract.ml.learn.accurate.time_budget import TimeBudget
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.synthetic import render_eye
from tests.reporters import RecordingReporter
from tests.system import BASE_DIR

STARTER = BASE_DIR / "cataract" / "starter"
PHOTOS = [render_eye(seed, opacity=0.6 * (seed % 2), size=96) for seed in range(8)]
Y = np.arange(8) % 2


class Limited(RecordingReporter):
    """A reporter of a run that has so many seconds left, and its log."""

    def __init__(self, left: Any) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._left = left

    def seconds_left(self) -> float:
        return float(self._left() if callable(self._left) else self._left)

    def log(self, line: str) -> None:
        self.lines.append(line)


# A trunk that makes 512 KB of each input, in place of the starter's: its memory would show at once.
_MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from cataract.ml.learn.accurate import activations
from cataract.ml.learn.accurate import fit as accurate
from cataract.ml.learn.checkpoint import Checkpoint
import torch
from torch import nn
from cataract.ml.learn.towers.towers import TailWithHead

starter, folder, photos = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
WIDE = 256 * 1024

class Narrow(nn.Linear):
    def forward(self, x):
        return super().forward(x[:, :16])

activations.CHANGED = 0
accurate._BATCH = 8
activations.open_trunk = lambda *_: lambda batch: np.full((len(batch), WIDE), batch.mean(), dtype=np.float32)
activations.changes = lambda size: type("Same", (), {"set_random_seed": lambda *_: None,
                                                     "__call__": lambda self, image: {"image": image}})()
accurate._starting_point = lambda *_: TailWithHead(Narrow(16, 2), nn.Linear(2, 1))
accurate.to_onnx = lambda *_, **__: b""
photo = np.random.default_rng(0).integers(0, 255, (112, 112, 3), dtype=np.uint8)
def fit(count):
    n = np.arange(count)
    accurate.fit_accurate(starter, [photo] * count, n % 2, n, epochs=1,
                          checkpoint=Checkpoint.of(folder / str(count), {"photos": count}))
fit(40)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fit(photos)
print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3))
"""


def test_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    """160 photos make 250 MB of activations on disk; held in memory once, they would be seen in the peak."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(STARTER), str(tmp_path), "160"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    on_disk = sum(path.stat().st_size for path in (tmp_path / "160").rglob("*.npy"))
    assert on_disk > 240e6
    assert json.loads(done.stdout) < 60, "megabytes more than with 40 photos"


def test_the_crops_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for most, copies in ((1000, 16), (24, 3), (4, 1)):
        monkeypatch.setattr(activations, "CHANGED", most)
        assert compute_activations(STARTER, PHOTOS, tmp_path / str(most)).changed.shape[:2] == (8, copies)


def test_rows_are_read_as_from_an_array(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float16).reshape(6, 2, 5)
    np.save(tmp_path / "rows.npy", values)
    stored = StoredRows.whole(tmp_path / "rows.npy").take(np.array([4, 1, 3]))
    part = values[[4, 1, 3]]
    assert stored.shape == part.shape and len(stored) == 3
    for index in (slice(0, 2), (slice(None), 1), (np.array([2, 0]), np.array([1, 0])), np.array([True, False, True])):
        np.testing.assert_array_equal(stored[index], part[index])
    np.testing.assert_array_equal(stored.take(np.array([False, True, True]))[:], part[1:])


def test_a_killed_pass_of_the_trunk_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(activations, "_SAVE_EVERY", 2)
    monkeypatch.setattr(activations, "CHANGED", 8)
    whole = compute_activations(STARTER, PHOTOS, tmp_path / "whole")
    passes: list[int] = []

    class Photos(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            passes.append(index)
            if passes == [0, 1, 2, 3, 4, 5]:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        compute_activations(STARTER, Photos(PHOTOS), tmp_path / "killed")
    again = compute_activations(STARTER, Photos(PHOTOS), tmp_path / "killed")
    assert passes[6:] == [4, 5, 6, 7], "photos that were saved are not encoded again"
    np.testing.assert_array_equal(again.plain[:], whole.plain[:])
    np.testing.assert_array_equal(again.changed[:], whole.changed[:])


def test_without_a_checkpoint_no_file_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(activations, "CHANGED", 8)
    accurate.fit_accurate(STARTER, PHOTOS, Y, np.arange(8), epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_in_batches_trains_the_same_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The way of a CUDA device, on the processor: the trunk's weights in torch, bfloat16, batches of photos."""
    monkeypatch.setattr(activations, "CHANGED", 8)
    exact, mixed = (tmp_path / name for name in ("exact", "mixed"))
    photos = PHOTOS[:4]
    one = compute_activations(STARTER, photos, exact)
    other = compute_activations(STARTER, photos, mixed, device=Device("cpu", mixed=True))
    for name in ("plain", "changed"):
        a, b = (getattr(found, name)[:].astype(np.float32) for found in (one, other))
        assert a.shape == b.shape and 0 < np.abs(a - b).mean() < 0.02 * np.abs(a).mean()

    used: list[torch.dtype] = []
    monkeypatch.setattr(Device, "of", classmethod(lambda cls, choice: cls("cpu", mixed=True)))
    real = torch.nn.functional.binary_cross_entropy_with_logits

    def noted(log_odds: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        used.append(log_odds.dtype)
        return real(log_odds, *args, **options)

    monkeypatch.setattr("torch.nn.functional.binary_cross_entropy_with_logits", noted)
    reporter = Limited(1e9)
    fit = accurate.fit_accurate(
        STARTER,
        photos,
        Y[:4],
        np.arange(4),
        epochs=1,
        checkpoint=Checkpoint.of(tmp_path / "kept", {}),
        reporter=reporter,
    )
    assert "accurate: computing on cpu, bfloat16" in reporter.lines
    assert set(used) == {torch.float32}, "losses have 32 bits"
    assert np.isfinite(fit.history[-1]["validation_loss"])
    assert all(value.dtype == torch.float32 for value in fit.state.values() if value.is_floating_point())


def test_the_device_is_chosen_or_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Device.of("auto") == Device.of("cpu") == Device("cpu", mixed=False)
    with pytest.raises(NoDevice, match=r"TRAINING_DEVICE is cuda, but torch .* finds no CUDA device"):
        Device.of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has_bfloat16 in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has_bfloat16: has)
        assert Device.of("auto") == Device.of("cuda") == Device("cuda", mixed=has_bfloat16)
    assert Device.of("cpu") == Device()


def test_a_fit_ends_in_time_with_its_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "CHANGED", 8)
    clock = {"now": 0.0}
    monkeypatch.setattr("cataract.ml.learn.accurate.time_budget.time.monotonic", lambda: clock["now"])

    class Slow(Limited):
        def metric(self, values: Any, step: int) -> None:
            super().metric(values, step)
            clock["now"] += 100  # each epoch

    reporter = Slow(lambda: 1000 - clock["now"])
    fit = accurate.fit_accurate(STARTER, PHOTOS, Y, np.arange(8), epochs=30, folds=2, reporter=reporter)
    ends = [line for line in reporter.lines if "TRAINING_MAX_HOURS" in line]
    assert [values["fit"] for values in reporter.metrics] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(ends) == 3 and "ends after epoch 3 of 30" in ends[-1]
    assert clock["now"] <= 900, "a third of a fit's time is left for calibration and comparison"
    assert fit.onnx and len(fit.history) == 4
    assert fit.ran_out_of_time.startswith("Fine-tuning ends after epoch 3 of 30")


def test_the_first_epoch_always_runs() -> None:
    budget = TimeBudget.share(Limited(0.0), 1)
    assert not budget.is_spent
    budget.epoch_ends()
    assert budget.is_spent


def test_too_many_photos_for_the_time_or_the_disk_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(activations, "CHANGED", 8)
    monkeypatch.setattr(activations, "_MEASURED", 2)
    with pytest.raises(TooSlow, match=r"photos per second here: \d photos take .* Raise TRAINING_MAX_HOURS"):
        compute_activations(STARTER, PHOTOS, tmp_path / "a", reporter=Limited(0.0))
    monkeypatch.setattr(
        "cataract.ml.learn.accurate.activations.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})()
    )
    with pytest.raises(NoSpace, match=r"The activations of 8 photos need .* GB on the disk"):
        compute_activations(STARTER, PHOTOS, tmp_path / "b")
