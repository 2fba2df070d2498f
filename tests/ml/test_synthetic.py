"""Synthetic eyes: the same seed draws the same eye, and more opacity makes a whiter pupil."""

import numpy as np
import pytest

from cataract.ml.synthetic import render_eye


def pupil_grey(opacity: float, seed: int = 5) -> float:
    photo = render_eye(seed, opacity=opacity, size=160, x=0.5, y=0.5, rotation=0.0, iris_radius=0.2, light=1.0)
    return float(np.median(photo[72:88, 72:88]))


def test_the_seed_decides_everything() -> None:
    assert np.array_equal(render_eye(1), render_eye(1))
    assert not np.array_equal(render_eye(1), render_eye(2))


def test_size_and_type() -> None:
    photo = render_eye(1, size=96)
    assert photo.shape == (96, 96, 3) and photo.dtype == np.uint8


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_more_opacity_makes_a_whiter_pupil(seed: int) -> None:
    greys = [pupil_grey(opacity, seed) for opacity in (0.0, 0.35, 0.7, 1.0)]
    assert greys == sorted(greys) and greys[0] < 60 < greys[-1]


def test_variation_is_obeyed() -> None:
    assert render_eye(1, light=0.2).mean() < 0.5 * render_eye(1, light=1.0).mean()
    assert np.diff(render_eye(1, defocus=0.03, noise=0.0).astype(int), axis=1).std() < 4
    with pytest.raises(TypeError):
        render_eye(1, colour="red")
    with pytest.raises(ValueError, match="iris is one of"):
        render_eye(1, iris="red")
    with pytest.raises(ValueError, match="between 0 and 1"):
        render_eye(1, opacity=2)
