"""Receive a file without holding more of it in memory than the limit."""

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile

from cataract.core.errors import BadField
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode
from predictions.photos.multipart import AnyFileName
from predictions.photos.refusals import BadPhoto


def read_photo(sent: "UploadedFile[Any]") -> bytes:
    """The bytes of an uploaded photo. Raises BadPhoto when more was sent than the handler keeps."""
    if sent.size is not None and sent.size > settings.MAX_UPLOAD_BYTES:
        refused = PhotoRefused(RefusalCode.FILE_TOO_LARGE, limit=settings.MAX_UPLOAD_BYTES, size=sent.size)
        raise BadPhoto(refused)
    return bytes(sent.read())


def refuse_repeated(fields: Any) -> None:
    """Raise BadField for a field that was sent twice: never guess which of two eyes is meant."""
    for field, values in fields.lists():
        if len(values) > 1 and field != "photo":
            raise BadField(field, f"{field}: sent {len(values)} times. Send it once.")


class BoundedUploadHandler(AnyFileName):
    """Keeps the first MAX_UPLOAD_BYTES + 1 bytes of a file in memory and counts the rest.

    The file's `size` is what was sent; a refusal states it.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._file = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        room = settings.MAX_UPLOAD_BYTES + 1 - self._file.tell()
        if room > 0:
            self._file.write(raw_data[:room])

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self._file.seek(0)
        return InMemoryUploadedFile(
            self._file, self.field_name, self.file_name or "", self.content_type or "", file_size, self.charset
        )
