"""Framing: a screenshot's margins and the way a photo is held do not change an answer."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.features import make_thumbnail
from cataract.ml.encoding.framing import LENGTH, Framing, describe, find_margins, turn
from cataract.ml.learn.starter.gate.framing_rule import fit_framing
from cataract.ml.synthetic import render_eye

STARTER = Path(__file__).resolve().parent.parent.parent / "cataract" / "starter"


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade.load(STARTER)


def screenshot(photo: Pixels, top: int, left: int, page: int) -> Pixels:
    """The photo on a plain page, below a line of text."""
    height, width = photo.shape[:2]
    shot = np.full((top + height + 90, left + width + 40, 3), page, dtype=np.uint8)
    shot[10:20, left : left + width // 2 : 6] = 255 - page
    shot[top : top + height, left : left + width] = photo
    return shot


@pytest.mark.parametrize("turns", range(4))
def test_the_description_of_a_turned_photo_is_the_turned_description(turns: int) -> None:
    thumbnail = make_thumbnail(render_eye(3, opacity=0.5, size=320))
    clockwise = np.ascontiguousarray(np.rot90(thumbnail, -turns))
    assert np.abs(turn(describe(thumbnail), turns) - describe(clockwise)).max() < 1e-6


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    top=st.integers(30, 200),
    left=st.integers(0, 120),
    page=st.sampled_from([0, 17, 250, 255]),
)
def test_the_photo_in_a_screenshot_is_found(seed: int, top: int, left: int, page: int) -> None:
    photo = np.random.default_rng(seed).integers(40, 220, (150, 220, 3), dtype=np.uint8)
    rows, columns = find_margins(screenshot(photo, top, left, page))
    assert (rows, columns) == (slice(top, top + 150), slice(left, left + 220))


def test_a_photo_without_margins_and_a_blank_picture_are_taken_whole() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (97, 131, 3), dtype=np.uint8)
    assert find_margins(photo) == (slice(0, 97), slice(0, 131))
    assert find_margins(np.full((1, 400, 3), 9, dtype=np.uint8)) == (slice(0, 1), slice(0, 400))


def test_margins_of_a_large_picture_are_found_to_a_few_pixels() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    rows, columns = find_margins(screenshot(photo, 801, 0, 0))
    assert abs(rows.start - 801) <= 8 and abs(rows.stop - 1701) <= 8
    assert columns.start == 0 and abs(columns.stop - 1600) <= 8


def test_a_fitted_rule_brings_photos_upright() -> None:
    framing = fit_framing([render_eye(seed, opacity=seed % 2, size=160) for seed in range(40)])
    photo = render_eye(77, size=160)
    for turns in range(4):
        frame = framing.find(np.ascontiguousarray(np.rot90(photo, turns)))
        assert frame.turns == turns
        assert np.array_equal(frame.thumbnail, make_thumbnail(photo[frame.rows, frame.columns]))


def test_without_a_rule_each_picture_is_taken_as_it_comes() -> None:
    picture = screenshot(render_eye(1, size=96), 60, 0, 0)
    assert Framing().cut(picture) is not None and np.array_equal(Framing().cut(picture), picture)
    with pytest.raises(ValueError, match="has no framing"):
        Framing().as_json()


@pytest.mark.parametrize("weights", [[0.0] * 3, [float("nan")] * LENGTH])
def test_a_malformed_rule_is_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Framing.from_json({"weights": weights})


def test_every_way_of_holding_a_photo_gives_the_same_answer(cascade: Cascade) -> None:
    photo = render_eye(5, opacity=0.7, size=320)
    scores = [cascade.predict([np.ascontiguousarray(np.rot90(photo, turns))])[0].fast_score for turns in range(4)]
    assert len(set(scores)) == 1


def test_a_screenshot_gives_the_photos_answer(cascade: Cascade) -> None:
    photo = render_eye(5, opacity=0.7, size=320)
    whole, shot = cascade.predict([photo])[0], cascade.predict([screenshot(photo, 200, 0, 255)])[0]
    assert shot.fast_score == whole.fast_score and shot.decision == whole.decision
