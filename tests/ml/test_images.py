"""Photos come in checked, upright and in sRGB, and are stored without private metadata."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from cataract.ml.photos import images
from cataract.ml.photos import quality as photos_quality
from cataract.ml.photos.images import Limits
from cataract.ml.photos.refusals import PhotoRefused
from tests import photos

CANARY = b"CANARY-7F3"
KINDS = ("JPEG", "PNG", "WEBP")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_ends_upright_also_after_stripping(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = photos.encode(photos.eye(90, 60), kind, exif=photos.exif(orientation), **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))

    header = images.inspect(data)

    assert (header.orientation, (header.height, header.width)) == (orientation, upright.shape[:2])
    assert np.array_equal(images.decode(data), upright)
    assert np.array_equal(images.decode(images.strip(data)), upright)
    assert images.inspect(images.strip(data)).orientation == orientation


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(KINDS),
    width=st.integers(32, 90),
    height=st.integers(32, 90),
    orientation=st.integers(1, 8),
    secret=st.binary(min_size=1, max_size=200),
    marker=st.sampled_from([0xE1, 0xE3, 0xED, 0xEF, 0xFE]),
    trailer=st.binary(max_size=100),
    quality=st.integers(20, 95),
)
def test_stripping_keeps_every_pixel_and_no_secret(
    kind: str, width: int, height: int, orientation: int, secret: bytes, marker: int, trailer: bytes, quality: int
) -> None:
    noise = np.random.default_rng(width * 100 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    clean = photos.encode(noise, kind, quality=quality, exif=photos.exif(orientation, artist=CANARY.decode()))
    data = clean
    if kind == "JPEG":
        data = photos.with_jpeg_segment(data, marker, CANARY + secret)
    if kind == "PNG":
        data = photos.with_png_chunk(data, b"tEXt", b"Comment\0" + CANARY + secret.replace(b"\0", b"."))
    data += CANARY + trailer

    stripped = images.strip(data)

    assert CANARY not in stripped
    assert np.array_equal(images.decode(stripped), images.decode(clean))
    assert images.strip(stripped) == stripped


def test_the_derivative_holds_nothing_but_a_picture() -> None:
    data = photos.encode(photos.eye(400, 300), exif=photos.exif(6, artist=CANARY.decode(), make="Canon"))
    small = images.derivative(data, max_side=128)
    with Image.open(io.BytesIO(small)) as image:
        assert image.size == (96, 128)
        assert image.format == "JPEG"
        assert not image.getexif()
    assert CANARY not in small


def test_facts_are_the_allowed_ones() -> None:
    data = photos.encode(photos.eye(), exif=photos.exif(make="Canon", model="EOS 5D", artist="Jane Roe"))
    assert images.inspect(data).facts == {"make": "Canon", "model": "EOS 5D"}


def test_a_large_jpeg_is_decoded_small_and_never_too_small() -> None:
    data = photos.encode(Image.fromarray(photos.eye(400, 300)).resize((4000, 3000)))
    pixels = images.decode(data, min_side=448)
    assert 448 <= min(pixels.shape[:2]) < 1500
    assert images.decode(data, min_side=3000).shape == (3000, 4000, 3)


def test_a_wide_gamut_photo_is_converted_to_srgb() -> None:
    profile = ImageCms.createProfile("LAB")
    broken = photos.encode(photos.eye(), icc_profile=b"\x01nonsense" * 20)
    assert images.inspect(broken).colour_profile == "unreadable"
    assert np.array_equal(images.decode(broken), images.decode(photos.encode(photos.eye())))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tagged = photos.encode(photos.eye(), icc_profile=srgb)
    assert "srgb" in images.inspect(tagged).colour_profile.lower()
    assert np.array_equal(images.decode(tagged), images.decode(photos.encode(photos.eye())))
    wrong_space = photos.encode(photos.eye(), icc_profile=ImageCms.ImageCmsProfile(profile).tobytes())
    assert images.decode(wrong_space).shape == (240, 320, 3)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = photos.eye()[:, :, 0]
    deep = photos.encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    pixels = images.decode(deep)
    assert np.abs(pixels[:, :, 0].astype(int) - grey).max() <= 1
    assert images.inspect(deep).facts["grey"] == "yes"


def test_cmyk_looks_like_its_rgb_twin() -> None:
    photo = Image.fromarray(photos.eye())
    cmyk = images.decode(photos.encode(photo.convert("CMYK"), quality=95))
    assert np.abs(cmyk.mean(axis=(0, 1)) - np.asarray(photo).mean(axis=(0, 1))).max() <= 3


def test_transparency_becomes_black_and_palettes_become_colour() -> None:
    half = np.dstack([photos.eye(), np.full((240, 320), 255, np.uint8)])
    half[:, :160, 3] = 0
    pixels = images.decode(photos.encode(half, "PNG"))
    assert not pixels[:, :160].any() and np.array_equal(pixels[:, 160:], photos.eye()[:, 160:])
    palette = Image.fromarray(photos.eye()).quantize(64)
    assert np.array_equal(images.decode(photos.encode(palette, "PNG")), np.asarray(palette.convert("RGB")))


def test_limits_are_the_callers() -> None:
    data = photos.encode(photos.eye(100, 80))
    for limits, code in (
        (Limits(max_bytes=len(data) - 1), "file_too_large"),
        (Limits(max_pixels=7_999), "too_many_pixels"),
        (Limits(min_side=81), "too_small"),
        (Limits(max_aspect=1.2), "bad_aspect"),
    ):
        with pytest.raises(PhotoRefused) as refused:
            images.inspect(data, limits=limits)
        assert refused.value.code == code
    images.inspect(data, limits=Limits(max_bytes=len(data), max_pixels=8_000, min_side=80, max_aspect=1.25))


def test_quality_tells_dark_bright_blurred_and_small() -> None:
    photo = photos.eye()
    good = photos_quality.measure_quality(photo)
    assert photos_quality.measure_quality(photo // 20).brightness < 0.06 < good.brightness
    assert photos_quality.measure_quality(np.full_like(photo, 255)).saturated == 1.0
    blurred = np.asarray(Image.fromarray(photo).resize((16, 12)).resize((320, 240), Image.Resampling.BICUBIC))
    assert photos_quality.measure_quality(blurred).sharpness < good.sharpness / 3
    assert good.short_side == 240


@pytest.mark.photos
def test_stripping_moves_no_pixel_of_a_real_photo(eyes: object) -> None:
    from tests.conftest import EYES

    files = sorted(EYES.glob("*/*/*"))[::40]
    for path in files:
        data = path.read_bytes()
        assert np.array_equal(images.decode(images.strip(data)), images.decode(data)), path.name
