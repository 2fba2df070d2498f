"""The fast model: the same data and seed give the same text, clusters are never divided, and torch is never needed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cataract.ml.cascade.fast import FastModel
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.fast.fit import FastFit, fit_fast, read_params
from cataract.ml.learn.fast.soft_labels import SoftLabels
from cataract.ml.learn.reporter import Cancelled
from tests.reporters import RecordingReporter

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def problem(n: int = 90) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 12)).astype(np.float32)
    x[:, 0] += 1.5 * y
    return x, y, np.arange(n) // 2 * 2 + y


def fit(**options: Any) -> FastFit:
    x, y, groups = problem()
    return fit_fast(x, y, groups, trials=3, seed=5, **options)


class Killed(BaseException):
    """Like SIGKILL: nothing catches it."""


def test_a_killed_search_goes_on_and_ends_as_it_would_have(tmp_path: Path) -> None:
    def die(trial: dict[str, Any]) -> None:
        if trial.get("trial") == 1:
            raise Killed

    with pytest.raises(Killed):
        fit(checkpoint=Checkpoint.of(tmp_path / "kept", {"seed": 5}), reporter=RecordingReporter(on_metric=die))
    reporter = RecordingReporter()
    resumed = fit(checkpoint=Checkpoint.of(tmp_path / "kept", {"seed": 5}), reporter=reporter)
    assert [trial["trial"] for trial in reporter.trials] == [1, 2], "the first trial was finished before the kill"
    assert resumed.text == fit().text

    other = RecordingReporter()
    fit(checkpoint=Checkpoint.of(tmp_path / "kept", {"seed": 6}), reporter=other)
    assert len(other.trials) == 3, "what was kept for another question is not used"


def test_soft_labels_are_used_only_when_they_help() -> None:
    x, y, _ = problem(400)
    right, wrong = (SoftLabels(x[90:], truth[90:].astype(float), 1.0) for truth in (y, 1 - y))
    helped, harmed = (fit(soft_labels=labels) for labels in (right, wrong))
    assert helped.ablation["kept"] and helped.ablation["photos"] == 310
    assert helped.ablation["with"]["log_loss"] < helped.ablation["without"]["log_loss"]
    assert not harmed.ablation["kept"] and harmed.text == fit().text


def test_of_many_photos_a_part_is_searched_on_and_all_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit()
    monkeypatch.setattr("cataract.ml.learn.fast.fit._SEARCHED", 50)
    part = fit()
    assert part.trials[0]["log_loss"] != whole.trials[0]["log_loss"]
    assert part.oof_scores.shape == (90,) and np.all(part.oof_scores != 0)
    assert FastModel(part.text, dim=12).score(problem()[0]).shape == (90,)


def test_a_logistic_regression_is_taken_where_it_is_better_out_of_fold() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 20)).astype(np.float32) * np.linspace(0.1, 9, 20, dtype=np.float32)
    x += (0.4 * np.linspace(0.1, 9, 20) * (2 * y[:, None] - 1)).astype(np.float32)  # a little in each of many features
    one, two = (fit_fast(x, y, np.arange(60), trials=1, seed=2, linear=True) for _ in range(2))
    assert one.text == two.text and one.text.startswith("{")
    assert one.candidates["logistic regression"] < one.candidates["LightGBM"]
    model = FastModel(one.text, dim=20)
    assert np.corrcoef(model.score(x), one.oof_scores)[0, 1] > 0.9
    low, high = model.score_range(x[0])
    assert low < float(model.score(x[:1])[0]) < high < low + 0.01
    with pytest.raises(ValueError, match="takes 20 features"):
        FastModel(one.text, dim=21)
    assert not fit().text.startswith("{"), "only where it is asked for"


def test_figures_are_of_foldings_that_the_search_has_not_seen_and_of_no_copy() -> None:
    x, y, groups = problem()
    rng = np.random.default_rng(4)
    copies = np.concatenate([x, x + rng.normal(scale=9, size=x.shape).astype(np.float32)])
    found = fit_fast(copies, np.tile(y, 2), np.tile(groups, 2), copies=len(y), trials=2, seed=5)
    assert len(found.repeats) == 3 and len({repeat["log_loss"] for repeat in found.repeats}) == 3
    measured = found.oof_scores[: len(y)]
    assert found.repeats[0]["accuracy"] == pytest.approx(np.mean((measured > 0) == (y == 1)))


def test_a_grid_is_searched_in_order_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cataract.ml.learn.fast.search.GRID", {"num_leaves": [7, 4], "num_iterations": [60, 90]})
    x, y, groups = problem()
    trials = fit_fast(x, y, groups, trials=30, seed=1, method="grid").trials
    tried = [(trial["params"]["num_leaves"], trial["params"]["num_iterations"]) for trial in trials]
    assert tried == [(7, 60), (7, 90), (4, 60), (4, 90)]
    assert len(fit_fast(x, y, groups, trials=3, seed=1, method="grid").trials) == 3


def test_a_search_prunes_trials_that_fall_behind() -> None:
    x, y, groups = problem()
    trials = fit_fast(x, y, groups, trials=9, seed=1).trials
    pruned = [trial for trial in trials if trial["pruned"]]
    assert pruned and all(len(trial["folds"]) < 5 and "roc_auc" not in trial for trial in pruned)
    assert not any(trial["pruned"] for trial in trials[:5])


def test_trials_are_reported_and_the_best_is_kept() -> None:
    reporter = RecordingReporter()
    result = fit(reporter=reporter)
    assert [trial["trial"] for trial in reporter.trials] == [0, 1, 2]
    best = min(reporter.trials, key=lambda trial: float(trial["log_loss"]))
    assert result.params == best["params"] == pytest.approx(read_params(result.text), rel=1e-4)
    assert result.oof_scores.shape == (90,) and best["roc_auc"] > 0.7


def test_serving_reads_the_text() -> None:
    x, y, _ = problem()
    scores = FastModel(fit().text, dim=12).score(x)
    assert scores[y == 1].mean() > scores[y == 0].mean()


def test_a_copy_in_the_same_cluster_does_not_help() -> None:
    """Noise cannot be predicted from clusters of copies; were clusters divided, the copy would give the label away."""
    rng = np.random.default_rng(1)
    x = np.repeat(rng.normal(size=(40, 6)), 4, axis=0).astype(np.float32)
    y = np.repeat(np.arange(40) % 2, 4)
    result = fit_fast(x, y, np.repeat(np.arange(40), 4), trials=1)
    assert result.trials[0]["roc_auc"] < 0.75


def test_stop_and_too_few() -> None:
    with pytest.raises(Cancelled):
        fit(reporter=RecordingReporter(stop=lambda: True))
    x, y, _ = problem()
    with pytest.raises(ValueError, match="two clusters of each class"):
        fit_fast(x, y, y, trials=1)


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "open_clip", "timm", "albumentations", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from pathlib import Path
import numpy as np, cv2
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.build.build import build_release
from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.synthetic import render_eye
base, folder = Path(sys.argv[1]), Path(sys.argv[2])
paths = []
for seed in range(12):
    paths.append(folder / f"{seed}.png")
    cv2.imwrite(str(paths[-1]), render_eye(seed, opacity=0.9 * (seed % 2), size=112)[..., ::-1])
splits = ["train"] * 8 + ["calibration"] * 4
data = TrainingData(paths, [f"{n:064x}" for n in range(12)], np.arange(12) % 2, np.arange(12), splits, np.ones(12))
manifest = build_release(folder / "new", base, data, BuildConfig(kind="fast", trials=1))
Cascade.load(folder / "new").check_golden()
print("built", manifest.id)
"""


def test_a_light_installation_retrains_the_fast_model(tiny_release: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKED, str(tiny_release), str(tmp_path)]
    result = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "built retrained-" in result.stdout
