"""Pretraining: a stopped and resumed training gives exactly the same tower."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cataract.ml.learn.reporter import SilentReporter
from cataract.ml.learn.starter import pretrain
from cataract.ml.learn.towers import towers
from cataract.ml.synthetic import render_eye


def photos() -> pretrain.Photos:
    eyes = [render_eye(seed, opacity=0.9 * (seed % 2), size=112) for seed in range(6)]
    return pretrain.Photos(
        eyes,
        [None] * 6,
        np.arange(6) % 2,
        np.arange(6),
        np.array(["clinic", "phone"] * 3),
        np.array([0, 1, np.nan] * 2, dtype=np.float32),
        outliers=eyes[:1],
    )


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


def test_a_tower_that_is_trained_further_keeps_its_first_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain, "BATCH", 8)
    model: Any = towers.create_model(towers.CONFIG)
    before = {name: value.clone() for name, value in model.visual.state_dict().items()}
    pretrain.pretrain(model, photos(), steps=2, seed=0, checkpoint=tmp_path / "x", trained=True)
    changed = {
        name.split(".")[1] for name, value in model.visual.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"layer3", "layer4", "proj"}


def test_the_statistics_that_standardise_the_embedding_end_in_the_projection() -> None:
    torch.manual_seed(0)
    projection, norm = torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3, affine=False)
    for _ in range(20):
        norm(projection(torch.randn(64, 5) + 1))
    norm.eval()
    x = torch.randn(4, 5)
    expected = norm(projection(x))
    pretrain._fold(projection, norm)
    assert torch.allclose(projection(x), expected, atol=1e-5)


def test_dimensions_that_say_the_same_cost() -> None:
    torch.manual_seed(0)
    varied, same = torch.randn(64, 16), torch.randn(64, 1).expand(64, 16)
    assert pretrain._varied_loss(same) > pretrain._varied_loss(varied)


def test_both_classes_are_needed(tmp_path: Path) -> None:
    one = photos()
    only = replace(one, y=np.zeros(6, dtype=np.int64))
    with pytest.raises(ValueError, match="both classes"):
        pretrain.pretrain(
            towers.create_model(towers.CONFIG),
            only,
            steps=1,
            seed=0,
            checkpoint=tmp_path / "x",
        )
