"""Multipart bodies whose file names are not UTF-8.

Django's parser skips a part with such a header, and the photo in it, as if nothing had been sent. Some programs write
file names in the code page of Windows: their headers are rewritten before the parser sees them.
"""

import re
from typing import IO, Any

from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser

_LONGEST_HEADER = 1024  # Django refuses longer ones


class AnyFileName(FileUploadHandler):
    """An upload handler, the only one of its request, that takes file names in UTF-8 or, failing that, Windows-1252."""

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: str | None = None
    ) -> Any:
        if isinstance(input_data, Utf8Headers):
            return None  # the parser below asks again
        body: Any = Utf8Headers(input_data, boundary)
        return MultiPartParser(META, body, [self], encoding).parse()


class Utf8Headers:
    """A multipart body in which every header of a part is UTF-8. All other bytes are passed on as they are."""

    def __init__(self, source: IO[bytes], boundary: bytes) -> None:
        self._source = source
        self._mark = b"--" + boundary
        self._head = re.compile(re.escape(self._mark) + rb"\r\n(.{0,%d}?)\r\n\r\n" % _LONGEST_HEADER, re.DOTALL)
        self._kept = b""

    def read(self, size: int) -> bytes:
        """About `size` bytes of the body; none at its end."""
        while received := self._source.read(size):
            data = self._kept + received
            end = self._end_of_whole_parts(data)
            self._kept = data[end:]
            if end:
                return self._translated(data[:end])
        rest, self._kept = self._kept, b""
        return self._translated(rest)

    def _end_of_whole_parts(self, data: bytes) -> int:
        """Up to where no header is cut off: an unfinished one, or what may begin one, waits for the next bytes."""
        last = data.rfind(self._mark, max(0, len(data) - len(self._mark) - _LONGEST_HEADER - 6))
        head = self._head.match(data, last) if last >= 0 else None
        if last >= 0 and head is None:
            return last
        return max(head.end() if head else 0, len(data) - len(self._mark) + 1, 0)

    def _translated(self, data: bytes) -> bytes:
        return self._head.sub(_in_utf8, data) if self._mark in data else data


def _in_utf8(part: "re.Match[bytes]") -> bytes:
    head = part.group()
    try:
        head.decode()
    except UnicodeDecodeError:
        return head.decode("cp1252", "replace").encode()
    return head
