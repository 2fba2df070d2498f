"""Every hostile or broken file gets its documented answer, quickly, and nothing else happens (docs/bad-input.md)."""

import io
import os
import random
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cataract.ml.photos import images
from cataract.ml.photos.examination import examine
from cataract.ml.photos.refusals import PhotoRefused
from tests import photos

JPEG = photos.encode(photos.eye())
PNG = photos.encode(photos.eye(), "PNG")
WEBP = photos.encode(photos.eye(), "WEBP")
CT, SCREENSHOT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
DOCUMENTED = {
    *("file_empty", "type_unknown", "type_not_accepted", "heic", "animated", "file_too_large", "too_many_pixels"),
    *("too_small", "bad_aspect", "image_truncated", "image_corrupt", "blank", "depth_too_low", "decode_timeout"),
    "phi_burned_in",
}  # the status and the sentence of each: tests/predictions/test_bad_input.py


def take(data: bytes) -> images.Header:
    """What an upload does with bytes."""
    return examine(data).header


def frames(kind: str) -> bytes:
    first, second = (Image.fromarray(photos.eye(seed=seed)) for seed in (1, 2))
    return photos.encode(first, kind, save_all=True, append_images=[second], duration=100)


def iso(main: bytes, *compatible: bytes) -> bytes:
    """The first box of a file of ISO/IEC 14496-12, with its brands."""
    brands = main + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0" * 99


def animated_png(pictures: int) -> bytes:
    """An APNG that says that it has this many frames; the only one is its picture."""
    control = struct.pack(">IIIIIHHBB", 0, 320, 240, 0, 0, 1, 1, 0, 0)
    return photos.with_png_chunk(photos.with_png_chunk(PNG, b"fcTL", control), b"acTL", struct.pack(">II", pictures, 0))


def wrong_crc() -> bytes:
    place = PNG.index(b"IDAT")
    length = struct.unpack(">I", PNG[place - 4 : place])[0]
    end = place + 4 + length
    return PNG[:end] + bytes([PNG[end] ^ 0xFF]) + PNG[end + 1 :]


def many_scans() -> bytes:
    progressive = photos.encode(photos.eye(64, 64), progressive=True)
    from cataract.ml.photos.containers import jpeg_segments

    scans = [progressive[start:end] for marker, start, end in jpeg_segments(progressive) if marker == 0xDA]
    return progressive[:-2] + scans[-1] * 10_000 + b"\xff\xd9"


def huge_sof() -> bytes:
    place = JPEG.index(b"\xff\xc0")
    return JPEG[: place + 5] + struct.pack(">HH", 65_500, 65_500) + JPEG[place + 9 :]


def black_png() -> bytes:
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(b"\0" * 20_001) for _ in range(20_000)) + rows.flush()
    header = photos.chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + photos.chunk(b"IDAT", body) + photos.chunk(b"IEND", b"")


def transparent() -> bytes:
    return photos.encode(np.dstack([photos.eye(), np.zeros((240, 320), np.uint8)]), "PNG")


def size(width: int, height: int, kind: str = "PNG") -> bytes:
    return photos.encode(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8), kind)


REFUSED: list[tuple[str, Callable[[], bytes], str, int, str]] = [
    ("B02 empty", lambda: b"", "", 400, "file_empty"),
    ("B03 random", lambda: os.urandom(4096), "a.jpg", 415, "type_unknown"),
    ("B04 half a JPEG", lambda: JPEG[: len(JPEG) // 2], "", 422, "image_truncated"),
    ("B04 half a PNG", lambda: PNG[: len(PNG) // 2], "", 422, "image_truncated"),
    ("B04 half a WebP", lambda: WEBP[: len(WEBP) // 2], "", 422, "image_truncated"),
    ("B07 wrong CRC", wrong_crc, "", 422, "image_corrupt"),
    ("B08 program named .jpg", lambda: b"MZ\x90\0" + b"\0" * 999, "photo.jpg", 415, "type_unknown"),
    ("B08 ZIP named .jpg", lambda: b"PK\x03\x04" + b"\0" * 99, "photo.jpg", 415, "type_not_accepted"),
    ("B08 gzip named .png", lambda: b"\x1f\x8b\x08" + b"\0" * 99, "photo.png", 415, "type_unknown"),
    ("B08 PDF named .jpg", lambda: photos.encode(photos.eye(), "PDF"), "photo.jpg", 415, "type_not_accepted"),
    ("B10 text", lambda: b"Dear doctor, here is my eye." * 9, "a.jpg", 415, "type_unknown"),
    ("B11 too large", lambda: JPEG + b"\0" * (20_000_001 - len(JPEG)), "", 413, "file_too_large"),
    ("B16 SVG", lambda: b'<?xml version="1.0"?><svg><script>alert(1)</script></svg>', "", 415, "type_not_accepted"),
    ("B17 HTML", lambda: b"<!doctype html><p>", "a.png", 415, "type_not_accepted"),
    ("B20 GIF", lambda: photos.encode(photos.eye(), "GIF"), "", 415, "type_not_accepted"),
    ("B20 animated GIF", lambda: frames("GIF"), "", 415, "type_not_accepted"),
    ("B21 APNG", lambda: frames("PNG"), "", 422, "animated"),
    ("B21 APNG by its count", lambda: animated_png(2), "a.png", 422, "animated"),
    ("B22 animated WebP", lambda: frames("WEBP"), "", 422, "animated"),
    ("B24 HEIC", lambda: b"\0\0\0\x18ftypheic" + b"\0" * 99, "IMG_1.HEIC", 415, "heic"),
    ("B24 HEIC named .jpg", lambda: b"\0\0\0\x18ftypmif1" + b"\0" * 99, "a.jpg", 415, "heic"),
    ("B24 HEIC by its brands", lambda: iso(b"mif1", b"mif1", b"heic"), "a.heic", 415, "heic"),
    ("B25 AVIF", lambda: iso(b"avif", b"mif1"), "", 415, "type_not_accepted"),
    ("B25 AVIF by its brands", lambda: iso(b"mif1", b"mif1", b"miaf", b"avif"), "a.heic", 415, "type_not_accepted"),
    ("B25 BMP", lambda: photos.encode(photos.eye(), "BMP"), "", 415, "type_not_accepted"),
    ("B25 PSD", lambda: b"8BPS\0\1" + b"\0" * 99, "", 415, "type_not_accepted"),
    ("B26 TIFF", lambda: photos.encode(photos.eye(), "TIFF"), "", 415, "type_not_accepted"),
    ("B27 PDF", lambda: photos.encode(photos.eye(), "PDF"), "", 415, "type_not_accepted"),
    ("B28 broken DICOM", lambda: b"\0" * 128 + b"DICM" + b"\0" * 99, "a.jpg", 415, "type_not_accepted"),
    ("B28 CT", lambda: photos.dicom(photos.eye(), sop_class=CT), "", 415, "type_not_accepted"),
    ("B28 JPEG 2000", lambda: photos.dicom(photos.eye(), JPEG_2000), "", 415, "type_not_accepted"),
    ("B28 frames", lambda: photos.dicom(photos.eye(), NumberOfFrames="2"), "", 422, "animated"),
    ("B28 annotated", lambda: photos.dicom(photos.eye(), BurnedInAnnotation="YES"), "a.dcm", 422, "phi_burned_in"),
    ("B28 annotated, small", lambda: photos.dicom(photos.eye(), BurnedInAnnotation="yes"), "", 422, "phi_burned_in"),
    ("B28 screenshot", lambda: photos.dicom(photos.eye(), sop_class=SCREENSHOT), "", 422, "phi_burned_in"),
    ("B28 cut", lambda: photos.dicom(photos.eye())[:-999], "", 422, "image_corrupt"),
    ("B28 size", lambda: photos.dicom(photos.eye(), Rows=60_000, Columns=60_000), "", 413, "too_many_pixels"),
    ("B29 video", lambda: b"\0\0\0\x14ftypqt  " + b"\0" * 99, "", 415, "type_not_accepted"),
    ("B30 header bomb", photos.png_header_bomb, "", 413, "too_many_pixels"),
    ("B31 black bomb", black_png, "", 413, "too_many_pixels"),
    ("B33 10,000 scans", many_scans, "", 422, "decode_timeout"),
    ("B34 SOF lies", huge_sof, "", 413, "too_many_pixels"),
    ("B35 FITS", lambda: b"SIMPLE  =                    T" + b" " * 2850, "a.jpg", 415, "type_not_accepted"),
    ("B36 1 x 1", lambda: size(1, 1), "", 422, "too_small"),
    ("B37 31 x 60", lambda: size(31, 60), "", 422, "too_small"),
    ("B38 65,000 x 2", lambda: size(65_000, 2), "", 422, "bad_aspect"),
    ("B39 panorama", lambda: size(1_000, 200), "", 422, "bad_aspect"),
    ("B43 transparent", transparent, "", 422, "blank"),
    ("B44 1 bit", lambda: photos.encode(Image.fromarray(photos.eye()).convert("1"), "PNG"), "", 422, "depth_too_low"),
]


@pytest.mark.parametrize(("make", "code"), [pytest.param(r[1], r[4], id=r[0]) for r in REFUSED])
def test_refused(make: Callable[[], bytes], code: str) -> None:
    data = make()
    start = time.perf_counter()
    with pytest.raises(PhotoRefused) as refused:
        take(data)
    assert refused.value.code == code
    assert time.perf_counter() - start < 5


def two_views() -> bytes:
    """An MPO as stereo and depth cameras write it: two JPEGs and an index."""
    second = Image.fromarray(photos.eye(seed=2))
    return photos.encode(Image.fromarray(photos.eye()), "MPO", save_all=True, append_images=[second])


def ultra_hdr() -> bytes:
    """A JPEG as phones write it: XMP that names a gain map, which follows the picture as a second JPEG."""
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'
    gain_map = photos.encode(photos.eye(80, 60)[:, :, 0])
    return photos.with_jpeg_segment(JPEG, 0xE1, xmp) + gain_map


ACCEPTED: list[tuple[str, Callable[[], bytes], str]] = [
    ("B08 PNG named .jpg", lambda: PNG, "photo.jpg"),
    ("B08 JPEG named .png", lambda: JPEG, "photo.png"),
    ("B08 the eye after a point", lambda: JPEG, "P17.OD"),
    ("B09 blob", lambda: JPEG, "blob"),
    ("B21 APNG of one frame", lambda: animated_png(1), "a.png"),
    ("B23 two views", two_views, "a.jpg"),
    ("B23 gain map", ultra_hdr, "a.jpg"),
    ("B18 polyglot", lambda: photos.with_jpeg_segment(JPEG, 0xFE, b"<script>CANARY</script>"), "a.jpg"),
    ("B19 ZIP after EOI", lambda: JPEG + b"PK\x03\x04CANARY", "a.jpg"),
    ("B23 still WebP", lambda: WEBP, "a.webp"),
    ("B37 32 x 32", lambda: size(32, 32), ""),
    ("B40 grey", lambda: photos.encode(photos.eye()[:, :, 0]), "a.jpeg"),
    ("B46 broken ICC", lambda: photos.encode(photos.eye(), icc_profile=b"\x07" * 500), ""),
    ("B49 canary in EXIF", lambda: photos.encode(photos.eye(), exif=photos.exif(artist="CANARY")), ""),
    ("B50 canary in XMP", lambda: photos.with_jpeg_segment(JPEG, 0xE1, b"http://ns.adobe.com/xap/1.0/\0CANARY"), ""),
    ("B50 canary in PNG text", lambda: photos.with_png_chunk(PNG, b"tEXt", b"Author\0CANARY"), ""),
    ("B51 broken EXIF", lambda: photos.with_jpeg_segment(JPEG, 0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 60), ""),
    ("B68 path", lambda: JPEG, "../../etc/passwd.jpg"),
    ("B68 windows path", lambda: JPEG, "C:\\a\\b.jpg"),
    ("B70 long name", lambda: JPEG, "x" * 4096 + ".jpg"),
    ("B76 dot file", lambda: JPEG, ".htaccess"),
    ("B71 bidi name", lambda: JPEG, "photo\u202egpj.exe"),
    ("B76 two endings", lambda: JPEG, "shell.php.jpg"),
]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("make", [pytest.param(row[1], id=row[0]) for row in ACCEPTED])
def test_accepted(make: Callable[[], bytes]) -> None:
    data = make()
    take(data)
    stripped = images.strip(data)
    assert b"CANARY" not in stripped
    assert b"CANARY" not in images.derivative(data, max_side=200)
    assert np.array_equal(images.decode(stripped), images.decode(data))


def test_b32_text_that_unpacks_to_a_gigabyte_costs_nothing() -> None:
    packer = zlib.compressobj(9)
    zeros = b"".join(packer.compress(b"\0" * 10_000_000) for _ in range(20)) + packer.flush()
    data = photos.with_png_chunk(PNG, b"zTXt", b"Comment\0\0" + zeros)
    start = time.perf_counter()
    try:
        take(data)
    except PhotoRefused as refused:
        assert refused.code == "image_corrupt"
    assert time.perf_counter() - start < 2


def test_b30_the_bomb_is_never_unpacked() -> None:
    start = time.perf_counter()
    with pytest.raises(PhotoRefused):
        images.decode(photos.png_header_bomb())
    assert time.perf_counter() - start < 0.2


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([JPEG, PNG, WEBP]),
    change=st.sampled_from(["cut", "flip", "splice", "repeat", "length"]),
    seed=st.integers(0, 2**32),
)
def test_b06_no_mutation_gets_an_undocumented_answer(kind: bytes, change: str, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(kind)
    place = rng.randrange(len(data))
    match change:
        case "cut":
            del data[place:]
        case "flip":
            for _ in range(20):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "splice":
            other = rng.choice([JPEG, PNG, WEBP])
            data[place:] = other[rng.randrange(len(other)) :]
        case "repeat":
            data[place:place] = data[place : place + rng.randrange(1, 4000)]
        case "length":
            data[place : place + 4] = struct.pack(">I", rng.randrange(2**32))
    start = time.perf_counter()
    try:
        take(bytes(data))
        stored = images.strip(bytes(data))
        assert images.decode(stored).dtype == np.uint8
        assert Image.open(io.BytesIO(images.derivative(stored, max_side=64))).format == "JPEG"
    except PhotoRefused as refused:
        assert refused.code in DOCUMENTED
    assert time.perf_counter() - start < 5
