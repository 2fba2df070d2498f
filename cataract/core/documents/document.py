"""A document as data: sections of paragraphs, lists, tables, charts and photos, rendered as a page and as a PDF.

Reports and letters are documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.safestring import SafeString


@dataclass(frozen=True)
class Paragraph:
    text: str
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Points:
    """A bulleted list, one sentence per item."""

    points: Sequence[str]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True)
class Table:
    """`rows` of cells as text; the first cell of a row names it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Chart:
    """An SVG of `cataract.core.charts`, with the words that say what it shows."""

    svg: SafeString
    caption: str
    millimetres: float = 150.0
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Photos:
    """Stored photos: (image id, caption)."""

    photos: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "photos"


@dataclass(frozen=True)
class Signature:
    """Room for a date and a signature, above a line with these words."""

    words: str
    kind: ClassVar[str] = "signature"


Block = Paragraph | Points | Table | Chart | Photos | Signature


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """`letterhead`: the sender's lines above the title of a letter; empty for a report."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    letterhead: str = ""


def number(value: float | None, places: int = 3) -> str:
    """The number with that many decimals, a dash for None."""
    return "-" if value is None else f"{value:.{places}f}"


def interval(row: Any) -> str:
    """`0.930 (0.902 to 0.964)`, from a mapping or an object with `value`, `low` and `high`; a dash for no value."""
    value, low, high = (row[key] if isinstance(row, dict) else getattr(row, key) for key in ("value", "low", "high"))
    if value is None:
        return "-"
    return number(value) if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
