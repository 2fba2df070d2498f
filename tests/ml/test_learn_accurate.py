"""The accurate model: the same data and seed give the same model, whether or not the fit was killed half-way."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cataract.ml.learn.accurate import fit as accurate
from cataract.ml.learn.accurate.fit import AccurateFit, fit_accurate
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.synthetic import render_eye
from tests.reporters import RecordingReporter
from tests.system import BASE_DIR

STARTER = BASE_DIR / "cataract" / "starter"
QUESTION = {"data": "twelve synthetic eyes"}


class Killed(BaseException):
    """Like SIGKILL: nothing catches it."""


def fit(**options: Any) -> AccurateFit:
    n = np.arange(12)
    photos = [render_eye(int(seed), opacity=0.6 * (seed % 2), size=96) for seed in n]
    return fit_accurate(STARTER, photos, n % 2, n, epochs=2, seed=3, folds=2, **options)


def test_fine_tuned_weights_count_only_as_far_as_they_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of the fine-tuned weights is chosen out of fold; three foldings say how much the figures vary."""
    found = fit(repeats=2)
    assert found.share in accurate._SHARES and len(found.repeats) == 2
    assert {"log_loss", "roc_auc", "accuracy"} <= set(found.repeats[0])

    def wrecked(job: Any, data: Any, number: int) -> Any:
        network = copy.deepcopy(job.start)
        network.head.weight.data.neg_()
        return job.start, network, [{"validation_loss": 9.0}]

    monkeypatch.setattr(accurate, "_fit", wrecked)
    kept, start = fit(), accurate._starting_point(STARTER, 3).state_dict()
    assert kept.share == 0.0
    assert all(np.array_equal(value.numpy(), start[name].numpy()) for name, value in kept.state.items())


def test_a_killed_fit_goes_on_and_ends_as_it_would_have(tmp_path: Path) -> None:
    epochs: list[tuple[int, int]] = []

    def note(values: dict[str, Any]) -> None:
        epochs.append((values["fit"], int(values["epoch"])))
        if epochs == [(0, 1), (0, 2), (1, 1)]:
            raise Killed

    with pytest.raises(Killed):
        fit(checkpoint=Checkpoint.of(tmp_path / "kept", QUESTION), reporter=RecordingReporter(on_metric=note))
    resumed = fit(checkpoint=Checkpoint.of(tmp_path / "kept", QUESTION), reporter=RecordingReporter(on_metric=note))
    assert epochs[3:] == [(1, 2), (2, 1), (2, 2)], "no epoch is repeated"

    whole = fit()
    assert [epoch["epoch"] for epoch in resumed.history] == [epoch["epoch"] for epoch in whole.history]
    for name, weights in whole.state.items():
        np.testing.assert_allclose(weights.numpy(), resumed.state[name].numpy(), atol=1e-5)
    one, other = (1 / (1 + np.exp(-found.oof_scores)) for found in (whole, resumed))
    np.testing.assert_allclose(one, other, atol=1e-3)
