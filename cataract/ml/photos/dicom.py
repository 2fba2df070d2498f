"""Single-frame photographic DICOM -> the picture inside, and the few technical facts kept from its header.

The result is a JPEG or PNG of the pixels alone: nothing that a header says about a person is passed on.
DICOM PS3.3 (A.41 ophthalmic photography, C.7.6.3 image pixel, C.7.6.1 burned-in annotation), PS3.5 (transfer syntaxes).
"""

import io
from typing import Any

import numpy as np
from PIL import Image

from cataract.ml.arrays import Pixels
from cataract.ml.photos.exif import printable
from cataract.ml.photos.images import Limits, check_size
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.77.1.5.1",  # ophthalmic photography, 8 bit
    "1.2.840.10008.5.1.4.1.1.77.1.5.2",  # ophthalmic photography, 16 bit
    "1.2.840.10008.5.1.4.1.1.77.1.4",  # photograph by visible light
    _SECONDARY_CAPTURE,  # only if it states that nothing is written into the picture
}
_JPEG = "1.2.840.10008.1.2.4.50"  # baseline: the frame is a JPEG file
_PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}  # implicit and explicit little endian, not compressed
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "MONOCHROME1", "MONOCHROME2")
_EYES = {"R": "OD", "L": "OS"}
_FACTS = {"make": "Manufacturer", "model": "ManufacturerModelName"}
_TAKEN = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate")


def unwrap(data: bytes, *, limits: Limits) -> tuple[bytes, dict[str, str]]:
    """The picture as a file (JPEG as it was, else PNG), and facts: make, model, captured_at, eye (OD or OS).

    Raises PhotoRefused: type_not_accepted, animated, phi_burned_in, image_corrupt, and those of the size.
    """
    try:
        dataset = _read(data)
        _check(dataset, limits)
        return _picture(dataset), _facts(dataset)
    except (PhotoRefused, MemoryError):
        raise
    except Exception as error:  # pydicom raises whatever a broken element leads to
        raise PhotoRefused(RefusalCode.IMAGE_CORRUPT, "DICOM") from error


def _read(data: bytes) -> Any:
    import pydicom  # costs an idle decoder nothing
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE  # odd names and dates do not matter here
    return pydicom.dcmread(io.BytesIO(data))


def _check(dataset: Any, limits: Limits) -> None:
    if str(dataset.get("SOPClassUID", "")) not in _CLASSES:
        raise PhotoRefused(RefusalCode.TYPE_NOT_ACCEPTED, "DICOM class")
    if str(dataset.file_meta.TransferSyntaxUID) not in {_JPEG, *_PLAIN}:
        raise PhotoRefused(RefusalCode.TYPE_NOT_ACCEPTED, "DICOM compression")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise PhotoRefused(RefusalCode.ANIMATED, "DICOM")
    burned_in = str(dataset.get("BurnedInAnnotation", "")).strip().upper()  # some write it in lower case
    capture = str(dataset.SOPClassUID) == _SECONDARY_CAPTURE
    if burned_in == "YES" or (capture and burned_in != "NO"):
        raise PhotoRefused(RefusalCode.PHI_BURNED_IN)
    check_size(int(dataset.Columns), int(dataset.Rows), limits)


def _picture(dataset: Any) -> bytes:
    from pydicom.encaps import generate_frames

    if str(dataset.file_meta.TransferSyntaxUID) == _JPEG:
        return bytes(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    file = io.BytesIO()
    Image.fromarray(_pixels(dataset)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _pixels(dataset: Any) -> Pixels:
    """(H, W) or (H, W, 3) uint8: the upper eight of the stored bits, without any window."""
    from pydicom.pixels.utils import pixel_array

    colours = str(dataset.PhotometricInterpretation)
    if colours not in _COLOURS or int(dataset.PixelRepresentation) != 0:
        raise PhotoRefused(RefusalCode.TYPE_NOT_ACCEPTED, "DICOM colours")
    stored = pixel_array(dataset)  # in RGB where it was YBR
    pixels = np.asarray(stored >> max(0, int(dataset.BitsStored) - 8), dtype=np.uint8)
    return np.ascontiguousarray(255 - pixels if colours == "MONOCHROME1" else pixels)


def _facts(dataset: Any) -> dict[str, str]:
    facts = {name: printable(dataset.get(element), 64) for name, element in _FACTS.items()}
    facts["captured_at"] = next((text for name in _TAKEN if (text := printable(dataset.get(name), 32))), "")
    facts["eye"] = _EYES.get(str(dataset.get("ImageLaterality") or dataset.get("Laterality") or ""), "")
    return {name: value for name, value in facts.items() if value}
