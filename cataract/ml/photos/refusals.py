"""Why a photo is refused, as codes. Sentences and HTTP statuses belong to the web."""

from enum import StrEnum


class RefusalCode(StrEnum):
    """Part of the API: codes are never renamed."""

    FILE_EMPTY = "file_empty"
    FILE_TOO_LARGE = "file_too_large"
    TYPE_UNKNOWN = "type_unknown"
    TYPE_NOT_ACCEPTED = "type_not_accepted"
    HEIC = "heic"
    ANIMATED = "animated"
    PHI_BURNED_IN = "phi_burned_in"
    DEPTH_TOO_LOW = "depth_too_low"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    BAD_ASPECT = "bad_aspect"
    IMAGE_TRUNCATED = "image_truncated"
    IMAGE_CORRUPT = "image_corrupt"
    DECODE_TIMEOUT = "decode_timeout"
    BLANK = "blank"


class PhotoRefused(ValueError):
    """The photo cannot be accepted.

    detail: the variant of `code` where there are several: a file format ("GIF", "DICOM") or what gave out ("memory").
    facts: what a sentence may name: width, height, limit, size (pixels or bytes).
    """

    def __init__(self, code: RefusalCode, detail: str = "", **facts: int) -> None:
        super().__init__(" ".join([code, *([detail] if detail else []), *(f"{k}={v}" for k, v in facts.items())]))
        self.code, self.detail, self.facts = code, detail, facts
