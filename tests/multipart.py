"""Multipart bodies, byte for byte: the encoder of Django's test client would clean the file names."""

from collections.abc import Iterable

BOUNDARY = "----a-boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def multipart_body(fields: Iterable[tuple[str, str]], files: Iterable[tuple[str, bytes]]) -> bytes:
    """A form with these (name, value) fields, and (file name, data) files in the field `photo`."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + _utf8(value) for name, value in fields]
    for name, data in files:
        head = b'Content-Disposition: form-data; name="photo"; filename="' + _utf8(name.replace('"', "%22")) + b'"'
        parts.append(head + b"\r\nContent-Type: image/jpeg\r\n\r\n" + data)
    return b"".join(f"--{BOUNDARY}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
