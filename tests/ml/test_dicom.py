"""The photo inside a DICOM file: its pixels as they are, a few facts, and nothing of the person."""

import numpy as np
import pytest
from PIL import Image

from cataract.ml.photos.examination import examine
from cataract.ml.photos.images import Limits, decode
from cataract.ml.photos.refusals import PhotoRefused
from tests import photos

EYE = photos.eye()
HEADER = {
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Slit 1",
    "ImageLaterality": "L",
    "AcquisitionDateTime": "20260131120000",
}


def test_uncompressed_pixels_are_kept_exactly_and_facts_are_mapped() -> None:
    found = examine(photos.dicom(EYE, **HEADER))
    assert np.array_equal(found.pixels, EYE) and found.data.startswith(b"\x89PNG")
    assert (found.header.format, found.header.width, found.header.height) == ("DICOM", 320, 240)
    facts = {"make": "Maker", "model": "Slit 1", "captured_at": "20260131120000", "eye": "OS"}
    assert found.header.facts == facts


def test_a_jpeg_inside_is_not_encoded_again() -> None:
    found = examine(photos.dicom(EYE, photos.DICOM_JPEG, PhotometricInterpretation="YBR_FULL_422"))
    assert np.array_equal(found.pixels, decode(photos.encode(EYE, quality=95))) and found.data.startswith(b"\xff\xd8")


@pytest.mark.parametrize("syntax", [photos.DICOM_PLAIN, photos.DICOM_JPEG])
def test_nothing_of_the_person_goes_further(syntax: str) -> None:
    data = photos.dicom(EYE, syntax)
    found = examine(data)
    assert b"CANARY" in data and b"CANARY" not in found.data and "CANARY" not in repr(found.header)


def test_grey_inverted_and_deep_pixels() -> None:
    grey = np.ascontiguousarray(EYE[:, :, 0])
    assert np.array_equal(examine(photos.dicom(grey)).pixels[:, :, 0], grey)
    inverted = photos.dicom(255 - grey, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(examine(inverted).pixels[:, :, 0], grey)
    twelve = photos.dicom(grey.astype(np.uint16) << 4, BitsStored=12, HighBit=11)
    assert np.array_equal(examine(twelve).pixels[:, :, 0], grey)


def test_subsampled_colours_without_compression() -> None:
    """PS3.5 8.2.1: two pixels share their colour; the brightness of each is kept exactly."""
    luma, blue, red = (np.asarray(band, dtype=np.uint8) for band in Image.fromarray(EYE).convert("YCbCr").split())
    packed = np.stack([luma[:, 0::2], luma[:, 1::2], blue[:, 0::2], red[:, 0::2]], axis=-1)
    found = examine(photos.dicom(EYE, PhotometricInterpretation="YBR_FULL_422", PixelData=packed.tobytes()))
    assert found.pixels.shape == EYE.shape
    assert np.abs(found.pixels.astype(int) - EYE).mean() < 3
    grey = np.asarray(Image.fromarray(found.pixels).convert("L"), dtype=int)
    assert np.abs(grey - luma).max() <= 2


@pytest.mark.parametrize("words", ["yes", "Yes ", "YES"])
def test_annotation_is_refused_in_any_letters(words: str) -> None:
    with pytest.raises(PhotoRefused) as refused:
        examine(photos.dicom(EYE, BurnedInAnnotation=words))
    assert refused.value.code == "phi_burned_in"


def test_a_screenshot_that_says_it_is_clean_is_taken() -> None:
    clean = photos.dicom(EYE, sop_class="1.2.840.10008.5.1.4.1.1.7", BurnedInAnnotation="NO")
    assert examine(clean).header.format == "DICOM"


def test_it_can_be_switched_off() -> None:
    with pytest.raises(PhotoRefused) as refused:
        examine(photos.dicom(EYE), limits=Limits(dicom=False))
    assert (refused.value.code, refused.value.detail) == ("type_not_accepted", "DICOM")
