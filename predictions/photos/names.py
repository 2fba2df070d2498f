"""File names from senders, as harmless labels."""

import unicodedata

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str) -> str:
    """The text without control, bidi, private and unassigned characters and without line separators."""
    return "".join(character for character in text if unicodedata.category(character) not in _UNSAFE)


def clean_label(name: str, *, length: int = 100) -> str:
    """A file name or other free text as a harmless label: NFC, printable, no folders, cut."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return printable(unicodedata.normalize("NFC", last)).strip()[:length]
