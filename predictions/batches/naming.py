"""Which file a name means, although systems write the same name in different ways."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

# What Windows tools write into archives without the UTF-8 flag: the OEM and ANSI code pages, the usual ones first.
CODE_PAGES = (
    *("cp437", "cp850", "cp1252", "cp852", "cp1250", "cp866", "cp1251", "cp737", "cp1253", "cp857", "cp1254", "cp862"),
    *("cp1255", "cp720", "cp1256", "cp775", "cp1257", "cp1258", "cp874", "cp932", "gbk", "cp949", "cp950"),
)


def plain_name(name: str) -> str:
    """The name with composed letters (Unicode NFC) and forward slashes, without a leading `./`."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")


class Names:
    """Finds files by name. Full names come first; else the last part of a path is enough."""

    def __init__(self, names: Sequence[str]) -> None:
        self._full: dict[str, list[int]] = defaultdict(list)
        self._last: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(map(plain_name, names)):
            self._full[name].append(place)
            self._last[name.rsplit("/", 1)[-1]].append(place)

    def places(self, name: str) -> list[int]:
        """The places in the list of all files that `name` fits: none, one, or several when it is ambiguous."""
        wanted = plain_name(name)
        return self._full.get(wanted) or self._last.get(wanted) or []


def spellings(names: Sequence[str | bytes]) -> list[list[str]]:
    """The lists of names that these may be; bytes are of an unknown code page, the same for all of them.

    UTF-8 comes first where all are valid, then code page 437, which can read anything.
    """
    unknown = [name for name in names if isinstance(name, bytes)]
    if not unknown:
        return [[name for name in names if isinstance(name, str)]]
    found: list[list[str]] = []
    for page in ("utf-8", *CODE_PAGES):
        try:
            decoded = [name if isinstance(name, str) else name.decode(page) for name in names]
        except UnicodeDecodeError:
            continue
        if decoded not in found:
            found.append(decoded)
    return found
