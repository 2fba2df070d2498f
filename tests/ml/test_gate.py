"""The gate knows usual eyes from everything else, and says why it refuses."""

import json

import numpy as np
import pytest

from cataract.ml.cascade import gate
from cataract.ml.encoding import features, layout
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.starter.gate import photo_gate
from cataract.ml.learn.starter.gate.outliers import draw_outliers
from cataract.ml.learn.starter.gate.photo_gate import fit_photo_gate
from cataract.ml.photos.quality import Quality, measure_quality
from cataract.ml.synthetic import render_eye

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(8, 40))


def usual(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 8)) @ MIX + 0.1 * rng.normal(size=(n, 40)) + 5


FITTED = gate.Gate.from_json(json.loads(json.dumps(gate.fit_gate(usual(300, 1)))))


def test_usual_vectors_pass_and_strange_ones_do_not() -> None:
    fresh = np.array([FITTED.distance(row.astype(np.float32)) for row in usual(300, 2)])
    assert 0.7 < np.median(fresh) < 1.3
    assert (fresh > FITTED.hard).mean() <= 0.05 and (fresh > FITTED.soft).mean() <= 0.08
    off_axis = np.array([FITTED.distance(row) for row in RNG.normal(5, 3, size=(100, 40)).astype(np.float32)])
    far_along = np.array([FITTED.distance(row.astype(np.float32)) for row in 5 + 6 * (usual(100, 3) - 5)])
    assert (off_axis > FITTED.hard).all() and (far_along > FITTED.hard).mean() > 0.9


def test_the_limits_are_in_order_and_the_same_each_time() -> None:
    assert 0 < FITTED.soft <= FITTED.hard
    assert gate.fit_gate(usual(100, 1), seed=3) == gate.fit_gate(usual(100, 1), seed=3)


def test_constant_features_do_no_harm() -> None:
    vectors = np.hstack([usual(60, 1), np.zeros((60, 3))])
    fitted = gate.Gate.from_json(gate.fit_gate(vectors, space="features", groups=np.arange(60) // 2))
    assert np.isfinite(fitted.distance(vectors[0].astype(np.float32)))


@pytest.mark.parametrize("vectors", [usual(10, 1), np.full((30, 4), np.nan)])
def test_too_little_to_fit_on_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least 20 finite"):
        gate.fit_gate(vectors)


def test_statistics_that_do_not_fit_together_are_refused() -> None:
    raw = gate.fit_gate(usual(60, 1))
    raw["ood"]["axes"] = raw["ood"]["axes"][1:]
    with pytest.raises(ValueError, match="do not fit together"):
        gate.Gate.from_json(raw)


def quality(**change: float) -> Quality:
    usual_photo = {"brightness": 0.5, "contrast": 0.2, "sharpness": 0.2, "saturated": 0.0, "colour": 0.3}
    return Quality(**(usual_photo | change), short_side=300)


@pytest.mark.parametrize(
    ("measured", "advice"),
    [
        (quality(), ""),
        (quality(brightness=0.02, contrast=0.01), "too_dark"),
        (quality(brightness=0.95), "too_bright"),
        (quality(saturated=0.8), "too_bright"),
        (quality(contrast=0.01), "blank"),
        (quality(sharpness=0.03), "blurred"),
    ],
)
def test_advice(measured: Quality, advice: str) -> None:
    assert FITTED.advice(measured) == advice


def test_drawn_eyes_are_good_photos() -> None:
    assert all(not FITTED.advice(measure_quality(render_eye(seed, opacity=seed / 20))) for seed in range(20))


def test_the_rule_that_tells_eyes_from_outliers_is_asked_too() -> None:
    zeros = np.zeros(features.LENGTH + layout.LENGTH)
    raw = gate.fit_gate(usual(100, 1)) | {"eye": {"weights": zeros.tolist(), "bias": 0.5, "soft": 1.0, "hard": 0.0}}
    both = gate.Gate.from_json(json.loads(json.dumps(raw)))
    assert both.eye is not None and both.eye.score(zeros.astype(np.float32)) == 0.5
    verdicts = {
        score: (both.refuses(gate.Likeness(1.0, score)), both.doubts(gate.Likeness(1.0, score)))
        for score in (2.0, 0.5, -1.0, np.nan)
    }
    assert verdicts == {2.0: (False, False), 0.5: (False, True), -1.0: (True, True), np.nan: (True, True)}
    far = {score: both.refuses(gate.Likeness(both.hard + 1, score)) for score in (2.0, 0.5)}
    assert far == {2.0: False, 0.5: True}, "an unusual eye is graded when the rule is sure of it"
    assert both.doubts(gate.Likeness(both.hard + 1, 2.0)), "and goes to a person"
    assert both.refuses(gate.Likeness(np.nan, 2.0))
    assert not FITTED.refuses(gate.Likeness(1.0, None)), "a gate of an older release uses the distance alone"

    raw["eye"]["weights"] = raw["eye"]["weights"][1:]
    with pytest.raises(ValueError, match="do not fit"):
        gate.Gate.from_json(raw)


def test_outliers_follow_from_their_seed() -> None:
    eyes = [render_eye(1, size=96)]
    one, again, other = (draw_outliers(20, seed=seed, eyes=eyes) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(photo.dtype == np.uint8 and photo.shape[2] == 3 for photo in one)


def test_a_gate_fitted_on_eyes_knows_eyes_from_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_gate, "_DRAWN", 4)
    eyes = [render_eye(seed, opacity=seed % 3 / 2, size=96) for seed in range(24)]
    fitted = gate.Gate.from_json(fit_photo_gate(eyes, np.arange(24) // 2, outliers=60, seed=1))

    def likeness(photo: np.ndarray) -> gate.Likeness:
        pupil = find_pupil(photo)
        handmade = features.extract(photo, pupil)
        assert fitted.eye is not None
        measured = layout.measure_layout(features.make_thumbnail(photo), pupil)
        score = fitted.eye.score(np.concatenate([handmade, measured]))
        return gate.Likeness(fitted.distance(handmade), score)

    others = [likeness(photo) for photo in draw_outliers(28, seed=2)]
    assert np.mean([fitted.doubts(one) for one in others]) > 0.9
    fresh = [likeness(render_eye(seed, size=96)) for seed in range(50, 60)]
    assert np.mean([fitted.refuses(one) for one in fresh]) <= 0.2
