"""Random draws that never change: a SHA-256 of a key decides, in every process and for all time."""

import hashlib


def fraction(key: str) -> float:
    """A number in [0, 1) that looks random and is always the same for this key."""
    return _number(key) / 2**64


def is_in_share(key: str, share: float) -> bool:
    """True for a share (0 to 1) of all keys, always the same ones; a larger share adds keys and drops none."""
    return _number(key) < share * 2**64


def _number(key: str) -> int:
    """The first 64 bits of the digest, big-endian."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
