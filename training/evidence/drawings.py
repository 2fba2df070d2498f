"""Drawings as inline SVG made on the server: no script, no style attribute, so that every page's policy allows them.

In a page `static/css/training.css` colours them by class, in light and dark; the attributes are for print. Each stands
beside a table or a sentence with the same numbers.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_FONT = "sans-serif"
_DARK, _GREY, _BLUE, _WHITE = "#1a1f1d", "#7b827f", "#1c4c9c", "#ffffff"


def histogram(bins: Sequence[Mapping[str, Any]]) -> SafeString:
    """Champion (left bar) and challenger (right bar) in each bin of `low` to `high`."""
    width, height, base = 400, 150, 130
    top = max((max(row["champion"], row["challenger"]) for row in bins), default=0) or 1
    step = width / len(bins)
    bars = [
        (side, round((place + offset) * step, 1), round(base - tall, 1), round(step * 0.38, 1), round(tall, 1), colour)
        for place, row in enumerate(bins)
        for side, offset, colour in (("champion", 0.1, _GREY), ("challenger", 0.5, _BLUE))
        for tall in [(base - 10) * row[side] / top]
    ]
    rects = format_html_join(
        "", '<rect class="drawing__{}" x="{}" y="{}" width="{}" height="{}" fill="{}"></rect>', bars
    )
    marks = [_text(0, 146, "0", "start"), _text(width / 2, 146, "0.5"), _text(width, 146, "1", "end")]
    return _drawing(
        width, height, "How often each gave which probability", [rects, _line(0, base, width, base), *marks]
    )


def reliability(bins: Sequence[Mapping[str, Any]]) -> SafeString:
    """Stated probability (across) against the share with cataract (up): a point for each bin."""
    side = 200

    def place(row: Mapping[str, Any]) -> tuple[float, float]:
        return round(30 + row["stated"] * side, 1), round(10 + (1 - row["observed"]) * side, 1)

    points = [place(row) for row in bins]
    parts = [
        _line(30, 10 + side, 30 + side, 10 + side),
        _line(30, 10, 30, 10 + side),
        _line(30, 10 + side, 30 + side, 10),
        *(_line(*one, *other, kind="curve") for one, other in pairwise(points)),
        format_html_join(
            "",
            '<circle class="drawing__challenger" cx="{}" cy="{}" r="4" fill="{}"></circle>',
            [(*point, _BLUE) for point in points],
        ),
        _text(130, 232, "stated probability"),
        _text(30, 226, "0"),
        _text(230, 226, "1"),
        _text(24, 214, "0", "end"),
        _text(24, 16, "1", "end"),
    ]
    return _drawing(260, 240, "Stated probability against the share with cataract", parts)


def flow(levels: Sequence[Sequence[Sequence[str]]]) -> SafeString:
    """A flow of data from top to bottom: each level a row of boxes, each box its lines; the last of a row leads on."""
    width, gap, line, pad = 640, 26, 17, 10
    parts: list[SafeString] = []
    y, source = 6.0, None
    for boxes in levels:
        wide = (width - gap * (len(boxes) - 1)) / len(boxes) if len(boxes) > 1 else 400
        start = (width - wide * len(boxes) - gap * (len(boxes) - 1)) / 2
        middles = [start + place * (wide + gap) + wide / 2 for place in range(len(boxes))]
        tall = 2 * pad + line * max(len(lines) for lines in boxes)
        if source is not None:
            parts += _fork(source, middles, y, gap)
        for middle, lines in zip(middles, boxes, strict=True):
            parts.append(_box(middle - wide / 2, y, wide, tall))
            parts += [_text(middle, y + pad + 12 + line * row, words) for row, words in enumerate(lines)]
        source = (middles[-1], y + tall)
        y += tall + gap
    return _drawing(width, int(y - gap + 6), "The flow of the data, from photos to answers", parts)


def _fork(source: tuple[float, float], middles: Sequence[float], y: float, gap: float) -> list[SafeString]:
    """Lines from below one box to the tops of the boxes of the next row."""
    x, above = source
    turn = y - gap / 2
    across = _line(min(x, *middles), turn, max(x, *middles), turn, kind="arrow")
    down = [_line(middle, turn, middle, y, kind="arrow") for middle in middles]
    return [_line(x, above, x, turn, kind="arrow"), across, *down]


def _drawing(width: int, height: int, label: str, parts: Sequence[SafeString]) -> SafeString:
    return format_html(
        '<svg class="drawing" xmlns="http://www.w3.org/2000/svg" width="{}" viewBox="-1 0 {} {}" role="img" '
        'aria-label="{}">{}</svg>',
        width,
        width + 2,
        height,
        label,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def _box(x: float, y: float, width: float, height: float) -> SafeString:
    return format_html(
        '<rect class="drawing__box" x="{}" y="{}" width="{}" height="{}" fill="{}" stroke="{}"></rect>',
        round(x, 1),
        round(y, 1),
        round(width, 1),
        round(height, 1),
        _WHITE,
        _GREY,
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, kind: str = "axis") -> SafeString:
    place = [round(each, 1) for each in (x1, y1, x2, y2)]
    colour = _BLUE if kind == "curve" else _GREY
    return format_html(
        '<line class="drawing__{}" x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}"></line>', kind, *place, colour
    )


def _text(x: float, y: float, words: str, anchor: str = "middle") -> SafeString:
    return format_html(
        '<text class="drawing__text" x="{}" y="{}" text-anchor="{}" font-family="{}" font-size="12" fill="{}">'
        "{}</text>",
        round(x, 1),
        round(y, 1),
        anchor,
        _FONT,
        _DARK,
        words,
    )
