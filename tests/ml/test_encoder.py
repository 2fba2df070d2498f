"""Preprocessing is open_clip's, for photos of every size and every way to fit them into a square."""

import numpy as np
import pytest
from open_clip.transform import image_transform
from PIL import Image

from cataract.ml.encoding.encoder import EncoderSpec, normalise, prepare, resize
from cataract.ml.synthetic import render_eye

MEAN, STD = (0.481, 0.457, 0.408), (0.268, 0.261, 0.275)


def spec(mode: str, size: int = 224) -> EncoderSpec:
    return EncoderSpec("clip", "", size, MEAN, STD, mode, ("full",), False, 512, 512)


@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
@pytest.mark.parametrize("shape", [(60, 90), (224, 224), (301, 500), (700, 433), (1500, 2000)])
def test_parity_with_open_clip(mode: str, shape: tuple[int, int]) -> None:
    side = max(shape)
    photo = render_eye(3, opacity=0.5, size=min(side, 600))
    photo = np.asarray(Image.fromarray(photo).resize((side, side)))[: shape[0], : shape[1]]
    transform = image_transform(224, is_train=False, mean=MEAN, std=STD, resize_mode=mode, interpolation="bicubic")

    ours, theirs = prepare(photo, spec(mode))[0], transform(Image.fromarray(photo)).numpy()

    grey_levels = np.abs(ours - theirs) * np.array(STD)[:, None, None] * 255
    assert ours.shape == theirs.shape == (3, 224, 224)
    assert grey_levels.mean() < 0.5
    if min(shape) < 4 * 224:
        assert grey_levels.max() < 1e-3


def test_a_batch_is_its_photos() -> None:
    photos = [resize(render_eye(seed, size=100), 64, "squash") for seed in (1, 2)]
    batch = normalise(photos, spec("squash", 64))
    assert batch.shape == (2, 3, 64, 64) and batch.dtype == np.float32 and batch.flags.c_contiguous
    assert np.array_equal(batch[1], normalise(photos[1:], spec("squash", 64))[0])


@pytest.mark.parametrize("change", [{"views": ["half"]}, {"views": []}, {"resize_mode": "bend"}])
def test_an_unknown_view_or_mode_is_refused(change: dict[str, object]) -> None:
    raw = {
        **{"name": "clip", "hash": "", "image_size": 224, "mean": MEAN, "std": STD, "resize_mode": "squash"},
        **{"views": ["full"], "handmade": False, "embedding_dim": 512, "dim": 512},
    }
    assert EncoderSpec.of(raw) == spec("squash")
    with pytest.raises(ValueError, match="asks for views"):
        EncoderSpec.of(raw | change)
