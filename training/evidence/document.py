"""A document as data: sections of headings, paragraphs, tables, drawings and photos, for a page and for a PDF alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.safestring import SafeString


@dataclass(frozen=True)
class Paragraph:
    text: str
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Points:
    """A list, one sentence a point."""

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
class Drawing:
    """An SVG of `drawings`, with the words that say what it shows."""

    svg: SafeString
    caption: str
    millimetres: float = 150.0
    kind: ClassVar[str] = "drawing"


@dataclass(frozen=True)
class Photos:
    """Stored photos by id, each with what is to be said of it."""

    photos: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "photos"


Block = Paragraph | Points | Table | Drawing | Photos


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    title: str
    subtitle: str
    sections: Sequence[Section] = field(default_factory=list)


def number(value: Any, places: int = 3) -> str:
    """A number as people read it, a dash for none."""
    return "-" if value is None else f"{value:.{places}f}"


def interval(row: Any) -> str:
    """`0.930 (0.902 to 0.964)`, from anything with `value`, `low` and `high`; a dash for none."""
    value, low, high = (row[key] if isinstance(row, dict) else getattr(row, key) for key in ("value", "low", "high"))
    if value is None:
        return "-"
    return number(value) if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def of_markdown(text: str) -> list[Section]:
    """A model card as sections: its headings, paragraphs, lists and tables; anything else stays a paragraph."""
    sections: list[Section] = []
    blocks: list[Block] = []
    title = ""
    for chunk in text.split("\n\n"):
        lines = [line for line in chunk.strip().splitlines() if line.strip()]
        if not lines:
            continue
        if lines[0].startswith("#"):
            if title or blocks:
                sections.append(Section(title, blocks))
            title, blocks, lines = lines[0].lstrip("# "), [], lines[1:]
        if lines:
            blocks.append(_block(lines))
    return [*sections, Section(title, blocks)] if title or blocks else sections


def _block(lines: Sequence[str]) -> Block:
    if lines[0].startswith("|"):
        cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if set(line) - set("|-: ")]
        return Table("", cells[0], cells[1:])
    if lines[0].startswith(("- ", "* ")):
        joined = "\n".join(lines).replace("\n- ", "\n* ").removeprefix("- ").removeprefix("* ")
        return Points([" ".join(point.split()) for point in joined.split("\n* ")])
    return Paragraph(" ".join(" ".join(lines).split()))
