"""Pretraining: a stopped and resumed training gives exactly the same tower."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cataract.ml.learn.fit import towers
from cataract.ml.learn.reporter import SilentReporter
from cataract.ml.learn.starter import pretrain
from cataract.ml.synthetic import render_eye


def photos() -> pretrain.Photos:
    eyes = [render_eye(seed, opacity=0.9 * (seed % 2), size=112) for seed in range(6)]
    return pretrain.Photos(eyes, [None] * 6, np.arange(6) % 2, np.arange(6))


def train(path: Path, steps: int, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    class Stopped(Exception):
        pass

    class Stopping(SilentReporter):
        def progress(self, stage: str, fraction: float, message: str = "") -> None:
            if stop_at is not None and fraction * steps >= stop_at:
                raise Stopped

    torch.manual_seed(1)
    model = towers.create_model(towers.CONFIG)
    try:
        network = pretrain.pretrain(model, photos(), steps=steps, seed=3, checkpoint=path, reporter=Stopping())
    except Stopped:
        return {}
    return network.state_dict()


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain, "BATCH", 4)
    monkeypatch.setattr(pretrain, "_SAVE_EVERY", 2)
    straight = train(tmp_path / "straight", 4)
    train(tmp_path / "stopped", 4, stop_at=2)
    resumed = train(tmp_path / "stopped", 4)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_until_the_rate_falls_the_length_of_a_training_does_not_matter() -> None:
    assert [pretrain._schedule(step, 4000) for step in (0, 100, 2999)] == [1 / 200, 101 / 200, 1.0]
    assert [pretrain._schedule(step, 8000) for step in (0, 100, 2999)] == [1 / 200, 101 / 200, 1.0]
    assert pretrain._schedule(3999, 4000) < 0.02


def test_a_trained_tower_gets_a_head_that_divides_the_classes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain, "BATCH", 8)
    torch.manual_seed(2)
    model: Any = towers.create_model(towers.CONFIG)
    network = towers.TailWithHead(towers.Tail(model.visual), torch.nn.Linear(128, 1))
    sampler = pretrain._Sampler(photos(), seed=0)
    pretrain._place_head(network, sampler)
    with torch.no_grad():
        pixels, target = sampler.batch(50, towers.IMAGE_SIZE)
        log_odds = network(pixels)
    assert log_odds[target == 1].mean() > log_odds[target == 0].mean()


def test_both_classes_are_needed(tmp_path: Path) -> None:
    one = photos()
    only = pretrain.Photos(one.pixels, one.pupils, np.zeros(6, dtype=np.int64), one.clusters)
    with pytest.raises(ValueError, match="both classes"):
        pretrain.pretrain(
            towers.create_model(towers.CONFIG),
            only,
            steps=1,
            seed=0,
            checkpoint=tmp_path / "x",
        )
