"""Changes of photos for training: what they must leave as it is."""

import numpy as np

from cataract.ml.encoding.pupil import Pupil
from cataract.ml.learn.accurate.augment import cloud, glare, healthy_variant, hide, transplant, veil
from cataract.ml.synthetic import render_eye


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
        assert shining.max() > 75
        assert (shining > 70).mean() < 0.15


def test_haze_lifts_the_pupil_and_the_iris_alike() -> None:
    eye = render_eye(3, size=160, iris="brown", pupil=0.4, iris_radius=0.2, x=0.5, y=0.5, opening=1.0)
    distance = np.hypot(*np.ogrid[-80:80, -80:80]) / 32  # in radii of the iris
    pupil, iris = distance < 0.3, (distance > 0.5) & (distance < 0.9)
    for seed in range(20):
        hazy = veil(eye, np.random.default_rng(seed), reach=0.2).astype(int)
        lifted = [float((hazy - eye)[where].mean()) for where in (pupil, iris)]
        assert lifted[0] > 3, "the pupil is no longer black"
        assert abs(lifted[0] - lifted[1]) < 0.5 * max(lifted) + 10, "and the iris is no clearer than it"


def test_a_healthy_variant_is_a_photo_and_leaves_the_original() -> None:
    eye = render_eye(5, size=160, x=0.5, y=0.5)
    kept = eye.copy()
    shapes = set()
    for seed in range(30):
        variant = healthy_variant(eye, Pupil(0.5, 0.5, 0.1, 1.0), np.random.default_rng(seed))
        assert variant.dtype == np.uint8 and min(variant.shape[:2]) >= 32
        shapes.add(variant.shape)
    assert np.array_equal(eye, kept)
    assert len(shapes) > 3, "some are closer"


def test_what_hides_a_pupil_covers_its_middle() -> None:
    eye = render_eye(7, size=160, x=0.5, y=0.5)
    for seed in range(20):
        hidden = hide(eye, Pupil(0.5, 0.5, 0.1, 1.0), np.random.default_rng(seed))
        assert hidden[74:86, 74:86].std(axis=(0, 1)).max() == 0


def test_a_cloud_lies_in_the_pupil_and_nowhere_else() -> None:
    distance = np.hypot(*np.ogrid[-120:120, -120:120]) / 48  # in radii of the iris
    drawn = 0
    for seed in range(8):
        eye = render_eye(seed, size=240, iris="blue", pupil=0.5, iris_radius=0.2, x=0.5, y=0.5, opening=1.0)
        clouded = cloud(eye, Pupil(0.5, 0.5, 0.2, 1.0), np.random.default_rng(seed))
        if clouded is None:  # reflections can divide a pupil
            continue
        drawn += 1
        brighter = clouded.mean(axis=2) - eye.mean(axis=2)
        assert brighter.min() >= 0, "a cloud takes no light away, so reflections stay"
        assert brighter[distance < 0.3].mean() > 20
        assert np.array_equal(clouded[distance > 0.75], eye[distance > 0.75])
    assert drawn >= 6


def test_no_cloud_without_a_round_dark_pupil() -> None:
    rng = np.random.default_rng(0)
    bright = np.full((120, 120, 3), 200, dtype=np.uint8)
    striped = bright.copy()
    striped[:, 50:70] = 10
    for photo in (bright, striped, rng.integers(0, 256, (120, 120, 3), dtype=np.uint8), bright[:8, :8]):
        assert cloud(photo, Pupil(0.5, 0.5, 0.3, 1.0), rng) is None
