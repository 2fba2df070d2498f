"""Upload limits in words, read from the settings each time they are shown."""

from django.conf import settings
from django.utils.functional import lazy

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def size_text(size: int) -> str:
    """A number of bytes in the largest decimal unit that fits, e.g. `20 MB`."""
    for unit, scale in _UNITS:
        if size >= scale:
            return f"{round(size / scale, 1):g} {unit}"
    return f"{size} bytes"


def upload_limits() -> dict[str, str]:
    """The limits that pages, refusals and the API's description state."""
    return {
        "max_photo": size_text(settings.MAX_UPLOAD_BYTES),
        "max_photo_bytes": str(settings.MAX_UPLOAD_BYTES),
        "max_batch": size_text(settings.MAX_BATCH_BYTES),
        "max_archive_files": f"{settings.MAX_BATCH_FILES:,}",
        "max_form_files": f"{settings.DATA_UPLOAD_MAX_NUMBER_FILES:,}",
    }


def _fill(text: str) -> str:
    return text.format(**upload_limits())


with_limits = lazy(_fill, str)
"""Fill `{max_photo}` and the other limits into a text when it is rendered, not when its module is imported."""
