"""Photo files for tests, made here: nothing but Pillow, numpy and the standard library."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from cataract.ml.arrays import Pixels
from cataract.ml.synthetic import render_eye


def eye(width: int = 320, height: int = 240, seed: int = 1) -> Pixels:
    """A synthetic eye, cut to the size."""
    side = max(width, height)
    square = render_eye(seed, size=side)
    top, left = (side - height) // 2, (side - width) // 2
    return np.ascontiguousarray(square[top : top + height, left : left + width])


OPHTHALMIC = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
DICOM_PLAIN, DICOM_JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"


def dicom(
    pixels: "np.ndarray[Any, Any]", syntax: str = DICOM_PLAIN, *, sop_class: str = OPHTHALMIC, **elements: Any
) -> bytes:
    """A DICOM file with these pixels, and with a person's name in its header."""
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID, found.file_meta.MediaStorageSOPClassUID = UID(syntax), UID(sop_class)
    found.SOPClassUID, found.SOPInstanceUID = sop_class, "2.25.7"
    found.file_meta.MediaStorageSOPInstanceUID = UID(found.SOPInstanceUID)
    found.PatientName, found.PatientID, found.InstitutionName = "CANARY^ANNA", "CANARY-7", "CANARY clinic"
    found.add_new(0x00091001, "LO", "CANARY of a private element")
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    found.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    found.BitsAllocated = found.BitsStored = 8 * pixels.itemsize
    found.HighBit, found.PixelRepresentation, found.PlanarConfiguration = found.BitsStored - 1, 0, 0
    plain = syntax == DICOM_PLAIN
    found.PixelData = pixels.tobytes() if plain else encapsulate([encode(pixels, quality=95)])
    found["PixelData"].VR, found["PixelData"].is_undefined_length = "OW" if pixels.itemsize > 1 else "OB", not plain
    for name, value in elements.items():
        setattr(found, name, value)
    file = io.BytesIO()
    found.save_as(file, enforce_file_format=True)
    return file.getvalue()


def encode(pixels: Pixels | Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The pixels as a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int = 1, **text: str) -> bytes:
    """EXIF with an orientation, and make, model, owner or GPS-like text where given."""
    block = Image.Exif()
    block[0x0112] = orientation
    for tag, value in {0x010F: "make", 0x0110: "model", 0x013B: "artist", 0x8298: "copyright"}.items():
        if value in text:
            block[tag] = text[value]
    return block.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a hundred bytes that claims to be 10.8 GB of RGB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def with_png_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    """The PNG with one more chunk after its header."""
    return png[:33] + chunk(name, data) + png[33:]


def with_jpeg_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """The JPEG with one more segment after SOI."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + jpeg[2:]
