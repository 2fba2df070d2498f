"""Labels and their photos as one ZIP archive, made while it is downloaded: memory holds one photo at a time."""

import zipfile
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from predictions.photos import storage
from review.labels import exports
from review.labels.models import Label

MISSING = "missing.txt"


def archive_of(labels: QuerySet[Label], *, with_ai: bool) -> Iterator[bytes]:
    """The bytes of the archive: photos by split and class (ImageFolder), metadata.jsonl and coco.json.

    A photo whose file is missing is named in missing.txt instead of breaking the download.
    """
    pipe = _Pipe()
    missing: list[str] = []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, form in (("metadata.jsonl", "jsonl"), ("coco.json", "coco")):
            with archive.open(name, "w", force_zip64=True) as entry:
                for text in exports.FORMATS[form].write(labels, with_ai=with_ai):
                    entry.write(text.encode())
                    yield pipe.taken()
        for label in labels.iterator(chunk_size=exports.CHUNK):
            try:
                archive.writestr(exports.file_name(label), storage.read(label.image.stored_name))
            except OSError:
                missing.append(exports.file_name(label))
            yield pipe.taken()
        if missing:
            archive.writestr(MISSING, "\n".join(missing) + "\n")
    yield pipe.taken()


class _Pipe:
    """A file that is only written to; what was written is taken out again and again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held open."""

    def taken(self) -> bytes:
        """What was written since the last call."""
        data, self._parts = b"".join(self._parts), []
        return data
