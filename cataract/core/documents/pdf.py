"""A document as PDF: A4, selectable text, tables that break over pages.

fpdf2 writes it, in pure Python, in the DejaVu fonts (docs/decisions/0006-pdf.md).
"""

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings

from cataract.core.documents.document import Block, Chart, Document, Paragraph, Photos, Points, Signature, Table
from cataract.core.svg import without_words

_FONT = "DejaVu"
_BODY, _SMALL, _HEADING, _TITLE = 9.5, 8, 13, 18  # points
_COLUMNS, _PHOTO_MM = 3, 55.0


def render(document: Document, *, footer: str, photo: Callable[[str], bytes | None]) -> bytes:
    """The document as the bytes of a PDF. `photo` returns the JPEG of a photo by its id, None where it is deleted."""
    pdf = _new(f"Demo: every eye is drawn. {footer}" if settings.DEMO else footer)
    pdf.set_title(document.title)
    pdf.add_page()
    if document.letterhead:
        _letterhead(pdf, document.letterhead)
    pdf.set_font(_FONT, "B", _TITLE)
    pdf.multi_cell(0, 9, document.title, new_x="LMARGIN", new_y="NEXT")
    _write(pdf, document.subtitle)
    for section in document.sections:
        pdf.ln(3)
        pdf.set_font(_FONT, "B", _HEADING)
        pdf.start_section(section.title)
        pdf.multi_cell(0, 7, section.title, new_x="LMARGIN", new_y="NEXT")
        for block in section.blocks:
            _draw(pdf, block, photo)
    return bytes(pdf.output())


def _new(footer: str) -> Any:
    from fpdf import FPDF  # takes half a second, and only a report needs it

    class Report(FPDF):
        def footer(self) -> None:
            self.set_y(-14)
            self.set_font(_FONT, "", 7)
            self.multi_cell(0, 3.5, f"{footer} Page {self.page_no()}", align="C")

    pdf = Report(format="A4")
    pdf.set_margin(16)
    pdf.set_auto_page_break(True, margin=18)
    fonts = _fonts()
    pdf.add_font(_FONT, "", fonts / "DejaVuSans.ttf")
    pdf.add_font(_FONT, "B", fonts / "DejaVuSans-Bold.ttf")
    pdf.add_font("sans-serif", "", fonts / "DejaVuSans.ttf")  # the font of the charts
    return pdf


def _fonts() -> Path:
    """The folder of DejaVu fonts in the matplotlib package, found without importing it."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise RuntimeError("matplotlib is not installed: a PDF needs its fonts.")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def _draw(pdf: Any, block: Block, photo: Callable[[str], bytes | None]) -> None:
    match block:
        case Paragraph(text):
            _write(pdf, text)
        case Points(points):
            for point in points:
                _write(pdf, f"•  {point}")
        case Table():
            _table(pdf, block)
        case Chart(svg, caption, millimetres):
            pdf.image(io.BytesIO(without_words(svg).encode()), w=min(millimetres, pdf.epw), x="C")
            _write(pdf, caption, size=_SMALL)
        case Photos(photos):
            _photos(pdf, list(photos), photo)
        case Signature(words):
            _signature(pdf, words)


def _letterhead(pdf: Any, text: str) -> None:
    """The sender's lines, the first one in bold, with a rule below."""
    for number, line in enumerate(text.splitlines()):
        pdf.set_font(_FONT, "" if number else "B", _BODY)
        pdf.multi_cell(0, 5, line, align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.line(pdf.l_margin, pdf.get_y() + 2, pdf.w - pdf.r_margin, pdf.get_y() + 2)
    pdf.ln(8)


def _signature(pdf: Any, words: str) -> None:
    if pdf.will_page_break(30):
        pdf.add_page()
    pdf.ln(18)
    pdf.set_font(_FONT, "", _SMALL)
    for text, start, wide in (("Date", 0.0, 45.0), (words, 55.0, 90.0)):
        x = pdf.l_margin + start
        pdf.line(x, pdf.get_y(), x + wide, pdf.get_y())
        pdf.text(x, pdf.get_y() + 4, text)
    pdf.ln(8)


def _write(pdf: Any, text: str, size: float = _BODY) -> None:
    pdf.set_font(_FONT, "", size)
    pdf.multi_cell(0, size * 0.55, text, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(1.5)


def _table(pdf: Any, block: Table) -> None:
    if pdf.will_page_break(25):  # keep a title together with its table
        pdf.add_page()
    if block.title:
        pdf.set_font(_FONT, "B", _BODY)
        pdf.multi_cell(0, 6, block.title, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(_FONT, "", _SMALL)
    longest = [max(len(str(row[column])) for row in (block.head, *block.rows)) for column in range(len(block.head))]
    widths = tuple(min(max(length, 13), 60) for length in longest)
    with pdf.table(col_widths=widths, line_height=4.5, text_align="LEFT", padding=0.6) as table:
        for cells in (block.head, *block.rows):
            table.row([str(cell) for cell in cells])
    pdf.ln(2)


def _photos(pdf: Any, photos: list[tuple[str, str]], photo: Callable[[str], bytes | None]) -> None:
    """Rows of three photos, each with its caption below."""
    pdf.set_font(_FONT, "", 7)
    for start in range(0, len(photos), _COLUMNS):
        if pdf.get_y() + _PHOTO_MM + 16 > pdf.page_break_trigger:
            pdf.add_page()
        top = pdf.get_y()
        for place, (image, caption) in enumerate(photos[start : start + _COLUMNS]):
            x = pdf.l_margin + place * (_PHOTO_MM + 5)
            data = photo(image)
            if data is not None:
                pdf.image(io.BytesIO(data), x=x, y=top, w=_PHOTO_MM, h=_PHOTO_MM, keep_aspect_ratio=True)
            pdf.set_xy(x, top + _PHOTO_MM + 1)
            pdf.multi_cell(_PHOTO_MM, 3.5, caption if data is not None else f"{caption} (photo deleted)", align="L")
        pdf.set_xy(pdf.l_margin, top + _PHOTO_MM + 14)
