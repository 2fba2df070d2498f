"""Changes of photos for training: what they must leave as it is."""

import numpy as np

from cataract.ml.eye import Pupil
from cataract.ml.learn.augment import glare, transplant


def test_a_transplanted_eye_lies_in_the_other_photo_and_only_there() -> None:
    eye = np.full((60, 80, 3), (200, 10, 10), dtype=np.uint8)
    photo = np.full((120, 100, 3), (10, 10, 200), dtype=np.uint8)
    place = Pupil(0.3, 0.6, 0.1, 1.0)
    mixed = transplant(eye, Pupil(0.5, 0.5, 0.2, 1.0), photo, place, np.random.default_rng(0))
    assert mixed.shape == photo.shape
    assert (mixed[72, 30] == eye[0, 0]).all()
    outside = np.hypot(*np.ogrid[-72:48, -30:70]) > 14  # beyond 1.3 radii of 10 px
    assert (mixed[outside] == photo[outside]).all()
    assert (photo == (10, 10, 200)).all(), "the photo itself is not painted on"


def test_an_eye_at_the_edge_is_transplanted_as_far_as_there_is_room() -> None:
    photo = np.zeros((50, 50, 3), dtype=np.uint8)
    eye = np.full((50, 50, 3), 255, dtype=np.uint8)
    mixed = transplant(eye, Pupil(0.5, 0.5, 0.3, 1.0), photo, Pupil(0.0, 1.0, 0.2, 1.0), np.random.default_rng(1))
    assert mixed[49, 0].min() == 255
    assert mixed[:30].max() == 0


def test_glare_brightens_and_leaves_the_edges() -> None:
    crop = np.full((112, 112, 3), 60, dtype=np.uint8)
    for seed in range(20):
        shining = glare(crop, np.random.default_rng(seed)).astype(int)
        assert shining.min() >= 59
        assert shining.max() > 120
        assert (shining > 70).mean() < 0.15
