"""Refused photos: the HTTP status and the sentence for each code of the library."""

from datetime import datetime

from django.utils import timezone

from cataract.core.errors import DomainError
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode

_ANSWERS: dict[RefusalCode, tuple[int, str]] = {
    RefusalCode.FILE_EMPTY: (400, "The file is empty (0 bytes). Take or choose it again."),
    RefusalCode.FILE_TOO_LARGE: (
        413,
        "{limit_millions:.1f} MB is the limit; this photo has {size_millions:.1f} MB. Send a smaller JPEG.",
    ),
    RefusalCode.TYPE_UNKNOWN: (415, "This is not a JPEG, PNG or WebP photo. Choose the photo again."),
    RefusalCode.TYPE_NOT_ACCEPTED: (415, "{detail} is not accepted; send a JPEG, PNG or WebP photo."),
    RefusalCode.HEIC: (
        415,
        "This is an iPhone HEIC photo. Choose Settings > Camera > Formats > Most Compatible, or share it as JPEG.",
    ),
    RefusalCode.ANIMATED: (422, "This file holds several pictures. Send a still photo."),
    RefusalCode.PHI_BURNED_IN: (
        422,
        "Text may be written into this picture (Burned In Annotation). "
        "Export it without annotation, and send it only if it identifies no one.",
    ),
    RefusalCode.DEPTH_TOO_LOW: (422, "This picture is black and white only. Send the photo itself."),
    RefusalCode.TOO_MANY_PIXELS: (
        413,
        "The photo has {width} x {height} px; {limit_millions:.0f} megapixels are the limit. Send a smaller one.",
    ),
    RefusalCode.TOO_SMALL: (
        422,
        "{width} x {height} px; at least {limit} px on the short side are needed. Take it closer.",
    ),
    RefusalCode.BAD_ASPECT: (422, "This looks like a panorama ({width} x {height} px). Crop the photo to the eye."),
    RefusalCode.IMAGE_TRUNCATED: (422, "Only part of the photo arrived. Send it again."),
    RefusalCode.IMAGE_CORRUPT: (
        422,
        "The photo is damaged and cannot be read. Take it again, or save it as a new JPEG.",
    ),
    RefusalCode.DECODE_TIMEOUT: (422, "This photo would take too long to read. Save it again as a plain JPEG."),
    RefusalCode.BLANK: (422, "The picture is fully transparent. Send the photo itself."),
}
# The sentences of variants of a code.
_VARIANTS: dict[tuple[RefusalCode, str], str] = {
    (RefusalCode.FILE_TOO_LARGE, "size unknown"): "{limit_millions:.1f} MB is the limit; this photo is larger.",
    (RefusalCode.TYPE_NOT_ACCEPTED, "GIF"): "GIF is not accepted; send a JPEG photo.",
    (RefusalCode.TYPE_NOT_ACCEPTED, "AVIF"): "This is an AVIF photo. Save it as JPEG and send that.",
    (RefusalCode.TYPE_NOT_ACCEPTED, "PDF"): "PDF is not accepted; export the page as JPEG and send that.",
    (RefusalCode.TYPE_NOT_ACCEPTED, "video"): "A video or live photo is not accepted; send a still JPEG photo.",
    (RefusalCode.TYPE_NOT_ACCEPTED, "DICOM"): (
        "DICOM is not accepted here; export the photo as JPEG or PNG and send that."
    ),
    (RefusalCode.TYPE_NOT_ACCEPTED, "DICOM class"): (
        "This DICOM file is not a photo of an eye. Export the photo as JPEG or PNG and send that."
    ),
    (RefusalCode.TYPE_NOT_ACCEPTED, "DICOM compression"): (
        "The compression of this DICOM file is not supported. Export the photo as JPEG or PNG."
    ),
    (RefusalCode.TYPE_NOT_ACCEPTED, "DICOM colours"): (
        "The colours of this DICOM file are not supported. Export the photo as JPEG or PNG and send that."
    ),
    (RefusalCode.ANIMATED, "DICOM"): "This DICOM file holds several pictures. Send a single one.",
    (RefusalCode.TOO_MANY_PIXELS, "header"): (
        "The photo has far too many pixels; {limit_millions:.0f} megapixels are the limit. Send a smaller one."
    ),
    (RefusalCode.TOO_MANY_PIXELS, "memory"): "The photo needs too much memory. Send a smaller one.",
    (RefusalCode.IMAGE_CORRUPT, "DICOM"): (
        "The DICOM file is damaged or incomplete and cannot be read. Export it again."
    ),
}


class BadPhoto(DomainError):
    """A photo that the library refused, with its status and sentence."""

    field = "photo"

    def __init__(self, refused: PhotoRefused) -> None:
        status, sentence = _ANSWERS[refused.code]
        sentence = _VARIANTS.get((refused.code, refused.detail), sentence)
        super().__init__(sentence.format(**_values(refused)))
        self.code = refused.code.value  # type: ignore[misc]  # one class, a table of codes
        self.status = status  # type: ignore[misc]


class PhotoInTrash(DomainError):
    """The same bytes lie in the trash. Once purged, they can be stored as a new photo."""

    code, status, field = "photo_in_trash", 409, "photo"

    def __init__(self, when: datetime | None) -> None:
        day = f" on {timezone.localtime(when):%Y-%m-%d}" if when else ""
        super().__init__(
            f"This photo was deleted{day} and is still in the trash. Restore it there, or send it again when it has "
            "been purged."
        )


def _values(refused: PhotoRefused) -> dict[str, int | float | str]:
    """The facts by name; numbers also in millions, for megabytes and megapixels."""
    values: dict[str, int | float | str] = {"detail": refused.detail}
    for name, fact in refused.facts.items():
        values |= {name: fact, f"{name}_millions": fact / 1e6}
    return values
