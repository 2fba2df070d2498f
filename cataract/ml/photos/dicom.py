"""Single-frame photographic DICOM -> the picture inside, and the few technical facts that are kept of its header.

What comes out is a JPEG or PNG of the pixels alone: a header, with whatever it says of a person, goes no further.
DICOM PS3.3 (A.41 ophthalmic photography, C.7.6.3 image pixel, C.7.6.1 burned-in annotation), PS3.5 (transfer syntaxes).
"""

import io
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from cataract.ml.arrays import Pixels
from cataract.ml.photos.exif import printable
from cataract.ml.photos.images import Limits, PhotoRefused, check_size

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.77.1.5.1",  # ophthalmic photography, 8 bit
    "1.2.840.10008.5.1.4.1.1.77.1.5.2",  # ophthalmic photography, 16 bit
    "1.2.840.10008.5.1.4.1.1.77.1.4",  # photograph by visible light
    _SECONDARY_CAPTURE,  # only with the word of whoever made it that nothing is written into the picture
}
_JPEG = "1.2.840.10008.1.2.4.50"  # baseline: the frame is a JPEG file
_PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}  # implicit and explicit little endian, not compressed
_COLOURS = ("RGB", "YBR_FULL", "MONOCHROME1", "MONOCHROME2")
_EYES = {"R": "OD", "L": "OS"}
_FACTS = {"make": "Manufacturer", "model": "ManufacturerModelName"}
_TAKEN = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate")


def unwrap(data: bytes, *, limits: Limits) -> tuple[bytes, dict[str, str]]:
    """The picture as a file (JPEG as it was, else PNG), and facts: make, model, captured_at, eye (OD or OS).

    Raises PhotoRefused: type_not_accepted, animated, phi_burned_in, image_corrupt, and those of the size.
    """
    try:
        found = _read(data)
        _check(found, limits)
        return _picture(found), _facts(found)
    except (PhotoRefused, MemoryError):
        raise
    except Exception as error:  # pydicom raises whatever a broken element leads to
        text = "The DICOM file is damaged or incomplete and cannot be read. Export it again."
        raise PhotoRefused("image_corrupt", 422, text) from error


def _read(data: bytes) -> Any:
    import pydicom  # costs an idle decoder nothing
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE  # odd names and dates are not ours to judge
    return pydicom.dcmread(io.BytesIO(data))


def _check(found: Any, limits: Limits) -> None:
    if str(found.get("SOPClassUID", "")) not in _CLASSES:
        _refuse("This DICOM file is not a photo of an eye. Export the photo as JPEG or PNG and send that.")
    if str(found.file_meta.TransferSyntaxUID) not in {_JPEG, *_PLAIN}:
        _refuse("This DICOM file is compressed in a way that is not read here. Export the photo as JPEG or PNG.")
    if int(found.get("NumberOfFrames") or 1) > 1:
        raise PhotoRefused("animated", 422, "This DICOM file holds several pictures. Send a single one.")
    burned_in, capture = str(found.get("BurnedInAnnotation", "")), str(found.SOPClassUID) == _SECONDARY_CAPTURE
    if burned_in == "YES" or (capture and burned_in != "NO"):
        text = (
            "Text may be written into this picture (Burned In Annotation). "
            "Export it without annotation, and send it only when nobody can be recognised by it."
        )
        raise PhotoRefused("phi_burned_in", 422, text)
    check_size(int(found.Columns), int(found.Rows), limits)


def _refuse(text: str) -> NoReturn:
    raise PhotoRefused("type_not_accepted", 415, text)


def _picture(found: Any) -> bytes:
    from pydicom.encaps import generate_frames

    if str(found.file_meta.TransferSyntaxUID) == _JPEG:
        return bytes(next(generate_frames(found.PixelData, number_of_frames=1)))
    file = io.BytesIO()
    Image.fromarray(_pixels(found)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _pixels(found: Any) -> Pixels:
    """(H, W) or (H, W, 3) uint8: the upper eight of the stored bits, without any window."""
    from pydicom.pixels.utils import pixel_array

    colours = str(found.PhotometricInterpretation)
    if colours not in _COLOURS or int(found.PixelRepresentation) != 0:
        _refuse("The colours of this DICOM file are not read here. Export the photo as JPEG or PNG and send that.")
    stored = pixel_array(found)  # in RGB where it was YBR
    pixels = np.asarray(stored >> max(0, int(found.BitsStored) - 8), dtype=np.uint8)
    return np.ascontiguousarray(255 - pixels if colours == "MONOCHROME1" else pixels)


def _facts(found: Any) -> dict[str, str]:
    facts = {name: printable(found.get(element), 64) for name, element in _FACTS.items()}
    facts["captured_at"] = next((text for name in _TAKEN if (text := printable(found.get(name), 32))), "")
    facts["eye"] = _EYES.get(str(found.get("ImageLaterality") or found.get("Laterality") or ""), "")
    return {name: value for name, value in facts.items() if value}
