"""One release gives one photo one answer, in every thread, beside any other photos and in every process."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from cataract.ml.cascade import explain
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.cascade.fast import FastModel
from cataract.ml.encoding.framing import Frame, Framing
from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.release.manifest import ReleaseCorrupt, read_manifest, write_json, write_manifest
from cataract.ml.synthetic import render_eye
from tests.releases import make_tiny_release


@pytest.fixture(scope="module")
def cascade(tiny_release: Path) -> Cascade:
    return Cascade.load(tiny_release)


CLEAR, OPAQUE = render_eye(11, opacity=0.0), render_eye(12, opacity=1.0)


def numbers(outcome: Outcome) -> tuple[object, ...]:
    return outcome.decision, outcome.fast_score, outcome.accurate_score, outcome.probability, outcome.reasons


def test_clear_lenses_are_normal_and_opaque_ones_are_not(cascade: Cascade) -> None:
    clear, opaque = cascade.predict([CLEAR, OPAQUE])
    assert (clear.decision, opaque.decision) == (NORMAL, CATARACT)
    assert clear.probability is not None and opaque.probability is not None
    assert clear.probability < 0.5 < opaque.probability
    assert clear.release_id == cascade.release_id and clear.policy_version == "tiny-normal"
    assert clear.embedding is not None and clear.embedding.shape == (cascade.spec.dim,)
    assert clear.timings["total"] > 0


def test_each_mode_asks_the_models_that_it_names(tmp_path: Path, cascade: Cascade) -> None:
    routes = {mode: cascade.predict([CLEAR], mode=mode)[0].route for mode in ("fast", "accurate", "always", "cascade")}
    assert routes == {"fast": "fast", "accurate": "accurate", "always": "fast+accurate", "cascade": "fast"}
    wide = Cascade.load(make_tiny_release(tmp_path / "wide", band="wide"))
    unsure = wide.predict([CLEAR])[0]
    assert unsure.route == "fast+accurate" and "uncertain" in unsure.reasons and unsure.needs_review
    with pytest.raises(ValueError, match="no mode"):
        cascade.predict([CLEAR], mode="both")


def test_models_that_disagree_bring_a_person_in(tmp_path: Path) -> None:
    contrary = Cascade.load(make_tiny_release(tmp_path / "contrary", contrary=True))
    outcome = contrary.predict([OPAQUE], mode="always")[0]
    assert "disagreement" in outcome.reasons and outcome.needs_review


def test_a_check_by_the_accurate_model_changes_nothing_but_finds_a_disagreement(
    tmp_path: Path, cascade: Cascade
) -> None:
    contrary = Cascade.load(make_tiny_release(tmp_path / "contrary", contrary=True))
    for release, found in ((cascade, ()), (contrary, ("disagreement",))):
        alone, checked = (release.predict([OPAQUE], check_sure=check)[0] for check in (False, True))
        answers = [(each.decision, each.probability, each.route, each.fast_score) for each in (alone, checked)]
        assert answers[0] == answers[1] and alone.route == "fast" and not alone.needs_review
        assert (checked.reasons, checked.needs_review) == (found, bool(found))
        assert checked.is_checked and not alone.is_checked and "accurate" in checked.timings
    for mode in ("fast", "always"):
        assert not contrary.predict([OPAQUE], mode=mode, check_sure=True)[0].is_checked


def test_the_answer_is_the_same_alone_in_company_and_in_threads(cascade: Cascade) -> None:
    photos = [render_eye(seed, opacity=seed % 5 / 4, size=160) for seed in range(8)]
    alone = [numbers(cascade.predict([photo], mode="always")[0]) for photo in photos]
    assert [numbers(outcome) for outcome in cascade.predict(photos, mode="always")] == alone
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            results = pool.map(lambda photo: numbers(cascade.predict([photo], mode="always")[0]), photos)
            assert list(results) == alone


def test_the_release_loaded_again_answers_the_same(cascade: Cascade, tiny_release: Path) -> None:
    again = Cascade.load(tiny_release)
    assert numbers(again.predict([CLEAR], mode="always")[0]) == numbers(cascade.predict([CLEAR], mode="always")[0])


def test_embeddings_are_what_outcomes_hold(cascade: Cascade) -> None:
    held = [outcome.embedding for outcome in cascade.predict([CLEAR, OPAQUE])]
    assert np.array_equal(cascade.embed([CLEAR, OPAQUE]), np.stack([one for one in held if one is not None]))
    assert cascade.embed([]).shape == (0, cascade.spec.dim)


@pytest.mark.parametrize(
    ("photo", "advice"),
    [
        (np.zeros((200, 200, 3), np.uint8), "too_dark"),
        (np.full((200, 200, 3), 255, np.uint8), "too_bright"),
        (np.full((200, 200, 3), 128, np.uint8), "blank"),
        (render_eye(1, defocus=0.05), "blurred"),
    ],
    ids=["dark", "bright", "blank", "blurred"],
)
def test_a_bad_photo_is_ungradable_and_says_why(cascade: Cascade, photo: np.ndarray, advice: str) -> None:
    outcome = cascade.predict([photo], mode="always")[0]
    assert (outcome.decision, outcome.route, outcome.gate["advice"]) == (Decision.UNGRADABLE, "gate", advice)
    assert outcome.needs_review and outcome.reasons == ("ungradable", "quality")
    assert outcome.probability is None and outcome.fast_score is None and outcome.accurate_score is None


def test_what_is_no_eye_is_ungradable(tmp_path: Path) -> None:
    strict = Cascade.load(make_tiny_release(tmp_path / "strict", refuse_all=True))
    outcome = strict.predict([CLEAR])[0]
    assert (outcome.decision, outcome.gate["advice"]) == (Decision.UNGRADABLE, "no_eye_found")
    assert outcome.reasons == ("ungradable", "out_of_distribution")


def test_a_small_photo_is_graded_with_a_person(cascade: Cascade) -> None:
    outcome = cascade.predict([render_eye(11, size=80)])[0]
    assert outcome.decision in (NORMAL, CATARACT) and "quality" in outcome.reasons and outcome.needs_review


def test_a_model_that_says_nan_never_says_normal(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (np.nan, np.inf, -np.inf):
        broken = np.array([value], np.float32)
        monkeypatch.setattr(cascade._fast, "score", lambda vectors, broken=broken: broken)
        outcome = cascade.predict([CLEAR], mode="fast")[0]
        if np.isnan(value):
            assert outcome.decision == Decision.UNGRADABLE and outcome.reasons == ("invalid_score",)
        assert outcome.needs_review or outcome.decision == (CATARACT if value > 0 else NORMAL)
        assert json.dumps([outcome.fast_score, outcome.probability], allow_nan=False)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.full((9, 9, 3), np.nan),
        np.zeros((0, 9, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_photo_is_refused(cascade: Cascade, photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="A photo is"):
        cascade.predict([photo])


def test_golden_predictions_hold_and_their_loss_is_noticed(tiny_release: Path, tmp_path: Path) -> None:
    Cascade.load(tiny_release).check_golden()
    folder = Path(shutil.copytree(tiny_release, tmp_path / "other"))
    golden = json.loads((folder / "golden.json").read_text())
    golden["cases"][0]["expect"]["fast_score"] += 0.01
    write_json(folder / "golden.json", golden)
    write_manifest(folder, replace(read_manifest(folder), name="other"))
    with pytest.raises(ReleaseCorrupt, match="answers differently"):
        Cascade.load(folder).check_golden()


def test_a_feature_on_a_split_may_fall_to_either_side() -> None:
    """Two processors round differently: the shipped release must answer its golden photos on both."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    booster = lgb.train(
        {"objective": "binary", "num_leaves": 4, "verbosity": -1, "seed": 0},
        lgb.Dataset(x, (x[:, 0] > 0).astype(int)),
        num_boost_round=3,
    )
    model = FastModel(booster.model_to_string(), dim=3)
    split = booster.dump_model()["tree_info"][0]["tree_structure"]
    on_it = np.zeros(3, dtype=np.float32)
    on_it[split["split_feature"]] = split["threshold"]
    below, above = on_it.copy(), on_it.copy()
    below[split["split_feature"]] -= 2e-6
    above[split["split_feature"]] += 2e-6
    low, high = model.score_range(on_it)
    scores = model.score(np.stack([below, above]))
    assert np.ptp(scores) > 0.01
    assert (scores.min(), scores.max()) == pytest.approx((low, high), abs=1e-5)
    far = np.full(3, 10.0, dtype=np.float32)
    assert np.ptp(model.score_range(far)) == 0


def test_the_heat_map_covers_the_photo(cascade: Cascade) -> None:
    heat = explain.heatmap(cascade, OPAQUE)
    assert heat.shape == OPAQUE.shape[:2] and heat.dtype == np.float32
    assert heat.min() >= 0 and 0.9 < heat.max() <= 1
    assert explain.overlay(OPAQUE, heat, max_side=160).shape == (160, 160, 3)


@pytest.mark.parametrize(("row", "column"), [(0.2, 0.2), (0.8, 0.5), (0.5, 0.8)])
def test_the_heat_map_is_warm_where_the_model_looks(row: float, column: float) -> None:
    """A model that reads one place only: covering that place moves its score, covering another does not."""

    class Looks(_AsItComes):
        def accurate_score(self, photo: np.ndarray, frame: object, pupil: object) -> float:
            height, width = photo.shape[:2]
            y, x = int(row * height), int(column * width)
            return float(photo[y - 8 : y + 8, x - 8 : x + 8].astype(float).std())

    photo = np.random.default_rng(0).integers(0, 256, size=(160, 240, 3), dtype=np.uint8)
    heat = explain.heatmap(Looks(), photo)  # type: ignore[arg-type]
    peak = np.unravel_index(int(heat.argmax()), heat.shape)
    assert abs(peak[0] / 160 - row) < 0.12 and abs(peak[1] / 240 - column) < 0.12
    assert heat[int((1 - row) * 159), int((1 - column) * 239)] < 0.2
    assert not explain.heatmap(_Blind(), photo).any()  # type: ignore[arg-type]


class _AsItComes:
    def find_frame(self, photo: np.ndarray) -> Frame:
        return Framing().find(photo)


class _Blind(_AsItComes):
    """Answers without looking."""

    def accurate_score(self, photo: np.ndarray, frame: object, pupil: object) -> float:
        return 1.0
