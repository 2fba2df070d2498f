"""The pupil is found where it is, quickly, and its absence is not an error."""

import time

import numpy as np
import pytest

from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import cut_views
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.synthetic import render_eye


def test_the_circle_is_on_the_drawn_eye() -> None:
    hits = 0
    for seed in range(20):
        pupil = find_pupil(render_eye(seed, opacity=seed / 20, x=0.5, y=0.5, rotation=0.0))
        hits += pupil is not None and np.hypot(pupil.x - 0.5, pupil.y - 0.5) < 0.12
    assert hits >= 16


@pytest.mark.parametrize("shape", [(1, 1), (20, 300), (64, 64), (3000, 30)])
def test_where_there_is_nothing_nothing_is_found(shape: tuple[int, int]) -> None:
    assert find_pupil(np.full((*shape, 3), 128, np.uint8)) is None


def test_a_large_photo_costs_no_more_than_a_small_one() -> None:
    photo = np.tile(render_eye(1, size=500), (6, 8, 1))
    start = time.perf_counter()
    find_pupil(photo)
    assert time.perf_counter() - start < 0.5


def test_views_stay_inside_the_photo() -> None:
    photo = render_eye(1, size=100)[:60]
    full, centre, near, unsure = cut_views(photo, ["full", "centre", "pupil", "pupil"], Pupil(0.99, 0.01, 0.1, 1.0))
    assert full.shape == (60, 100, 3) and centre.shape == (42, 42, 3)
    assert near.shape[0] == near.shape[1] == 34 and np.array_equal(near, photo[:34, -34:])
    assert np.array_equal(unsure, near)
    (fallback,) = cut_views(photo, ["pupil"], Pupil(0.9, 0.9, 0.1, 0.1))
    assert np.array_equal(fallback, centre)


def test_hand_made_features_are_finite_constant_in_length_and_repeatable() -> None:
    for photo in (render_eye(1), np.zeros((40, 90, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)):
        pupil = find_pupil(photo)
        vector = features.extract(photo, pupil)
        assert vector.shape == (features.LENGTH,) and np.isfinite(vector).all() and vector.dtype == np.float32
        assert np.array_equal(vector, features.extract(photo, pupil))


def test_hand_made_features_see_the_opacity_of_the_lens() -> None:
    clear, opaque = (render_eye(5, opacity=opacity, x=0.5, y=0.5) for opacity in (0.0, 1.0))
    pupil = Pupil(0.5, 0.5, 0.15, 1.0)
    assert np.abs(features.extract(clear, pupil) - features.extract(opaque, pupil)).sum() > 1
