"""Releases are signed by the installation that registered them, and loaded only with its signature.

The digest on record and the files lie where an intruder may write both: database and release folder. The key lies in
neither: it is an Ed25519 key made from SECRET_KEY, so it needs no file and no backup of its own; SECRET_KEY_FALLBACKS
still vouch. `manifest.sig` lies beside the manifest, and `public_key()` verifies it anywhere.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.utils.crypto import salted_hmac

from cataract.core.files import write_private
from cataract.ml.release.manifest import MANIFEST, SIGNATURE, ReleaseCorrupt, read_manifest


def sign(folder: Path) -> None:
    """Sign the manifest of a release folder, whose files its caller has verified."""
    signature = next(_keys()).sign(_statement(folder))
    write_private(folder / SIGNATURE, base64.b64encode(signature).decode() + "\n")


def check(folder: Path) -> None:
    """Raise ReleaseCorrupt unless this installation has signed the manifest in `folder`. No other file is read."""
    path = folder / SIGNATURE
    try:
        signature = base64.b64decode(path.read_text(), validate=False)
    except (OSError, ValueError):
        raise ReleaseCorrupt(f"{folder.name}: it is not signed. Look where it comes from: docs/security.md.") from None
    statement = _statement(folder)
    for key in _keys():
        try:
            key.public_key().verify(signature, statement)
        except InvalidSignature:
            continue
        return
    raise ReleaseCorrupt(
        f"{folder.name}: the signature of {MANIFEST} is not that of this installation. See docs/security.md."
    )


def public_key() -> str:
    """The public half of the key that signs now, in base64: with it a signature is verified elsewhere."""
    return base64.b64encode(next(_keys()).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def _statement(folder: Path) -> bytes:
    manifest = read_manifest(folder)
    return f"cataract release\n{manifest.id}\n{manifest.sha256}\n".encode()


def _keys() -> Iterator[Ed25519PrivateKey]:
    """The key that signs, and those that still vouch."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        seed = salted_hmac("cataract.release-signature", "", secret=secret, algorithm="sha256").digest()
        yield Ed25519PrivateKey.from_private_bytes(seed)
