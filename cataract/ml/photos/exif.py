"""Read EXIF: the orientation and allow-listed capture facts, never the location or the owner."""

from typing import Any

from PIL import Image

from cataract.ml.photos import containers

_EXIF_IFD = 0x8769


def _exif(image: Image.Image, data: bytes) -> Any:
    """EXIF as Pillow reads it; empty when the directory is damaged or circular: the photo is still accepted."""
    try:
        if image.format != "PNG":
            return image.getexif()
        exif = Image.Exif()  # Pillow's `getexif` would decode the whole PNG to find it behind the pixels
        exif.load(containers.png_exif(data))
        return exif
    except Exception:
        return {}


def read_orientation(image: Image.Image, data: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 where the file states none or an invalid one."""
    value = _exif(image, data).get(containers.ORIENTATION_TAG)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


_FACTS = {"make": 0x010F, "model": 0x0110}
_CAPTURE_FACTS = {
    "exposure": 0x829A,
    "aperture": 0x829D,
    "iso": 0x8827,
    "focal_length": 0x920A,
    "captured_at": 0x9003,
}


def read_facts(image: Image.Image, data: bytes) -> dict[str, str]:
    """The allow-listed capture facts as text, and `grey`: "yes" for a photo without colour."""
    exif = _exif(image, data)
    try:
        capture = exif.get_ifd(_EXIF_IFD) if exif else {}
    except Exception:
        capture = {}
    facts = {name: printable(exif.get(tag), 64) for name, tag in _FACTS.items()}
    facts |= {name: printable(capture.get(tag), 32) for name, tag in _CAPTURE_FACTS.items()}
    if image.mode in ("L", "LA") or image.mode.startswith("I"):
        facts["grey"] = "yes"
    return {name: value for name, value in facts.items() if value}


def printable(value: Any, length: int) -> str:
    """A value from a file as one short printable line; "" when there is none."""
    if value is None or isinstance(value, (bytes, tuple, dict)):
        return ""
    try:
        text = str(value)
    except (ValueError, ArithmeticError):
        return ""
    return "".join(sign for sign in text if sign.isprintable()).strip()[:length]
