"""Charts as inline SVG: one look for pages, PDF reports and MLflow artefacts.

A chart has no script and no style attribute, so the content security policy of every page allows it. In a page
`static/css/charts.css` colours it by class, in light and dark; the presentation attributes serve PDFs and files.
Its name in words is its `aria-label`, and it stands beside a table or a sentence with the same numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

Point = tuple[float, float]

_WIDTH, _EDGE = 360, 6  # of interval and bar charts, in user units
_ROW, _BAR_ROW, _AXIS = 62, 42, 24
_TEXT: dict[str, str | int] = {"fill": "#1a1f1d", "font-family": "sans-serif", "font-size": 12}
_GREY, _BLUE, _PALE = "#7b827f", "#1c4c9c", "#e8ebea"
_LOOK: dict[str, dict[str, str | int]] = {
    "text": {**_TEXT},
    "name": {**_TEXT, "font-weight": "bold"},
    "axis": {"stroke": _GREY},
    "grid": {"stroke": _PALE},
    "line": {"stroke": _BLUE, "stroke-width": 2},
    "quiet": {"stroke": _GREY, "stroke-width": 2},
    "mark": {"fill": _BLUE},
    "reference": {"fill": _GREY},
    "track": {"fill": _PALE},
    "box": {"fill": "#ffffff", "stroke": _GREY},
}


class Interval(NamedTuple):
    """A value with its interval and the number of cases behind it; None where there are too few cases."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int

    def words(self) -> str:
        """The value as people read it: "0.84 (0.77 to 0.90), n 210"."""
        if self.value is None:
            return f"not enough to say, n {self.n}"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}, n {self.n}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}), n {self.n}"


def intervals(title: str, rows: Sequence[Interval], *, low: float = 0.0, high: float = 1.0) -> SafeString:
    """One row per measure: its name, its value in words, and its interval on a common axis from `low` to `high`."""

    def place(value: float) -> float:
        inside = min(max(value, low), high)
        return _EDGE + (_WIDTH - 2 * _EDGE) * (inside - low) / (high - low)

    bottom = _ROW * len(rows)
    parts: list[SafeString] = []
    for tick in (low + (high - low) * step / 4 for step in range(5)):
        anchor = "start" if tick == low else "end" if tick == high else "middle"
        text = f"{tick:.2f}".rstrip("0").rstrip(".") or "0"
        parts += [
            _line("grid", place(tick), 0, place(tick), bottom),
            _text(place(tick), bottom + 16, text, anchor=anchor),
        ]
    for row, top in zip(rows, range(0, bottom, _ROW), strict=True):
        parts += [
            _text(_EDGE, top + 14, _short(row.name), kind="name", anchor="start"),
            _text(_EDGE, top + 31, row.words(), anchor="start"),
        ]
        if row.low is not None and row.high is not None:
            parts.append(_line("line", place(row.low), top + 46, place(row.high), top + 46))
        if row.value is not None:
            parts.append(_dot(place(row.value), top + 46))
    return _chart(_WIDTH, bottom + _AXIS, f"{title}: " + "; ".join(f"{row.name} {row.words()}" for row in rows), parts)


def bars(title: str, counts: Sequence[tuple[str, int]]) -> SafeString:
    """One bar per count, with its name and number above it."""
    most = max((count for _, count in counts), default=0) or 1
    full = _WIDTH - 2 * _EDGE
    parts: list[SafeString] = []
    for number, (name, count) in enumerate(counts):
        top = number * _BAR_ROW
        parts += [
            _text(_EDGE, top + 14, _short(name), kind="name", anchor="start"),
            _text(_WIDTH - _EDGE, top + 14, str(count), anchor="end"),
            _box("track", _EDGE, top + 22, full, 8),
            _box("mark", _EDGE, top + 22, full * count / most, 8),
        ]
    label = f"{title}: " + "; ".join(f"{name} {count}" for name, count in counts)
    return _chart(_WIDTH, _BAR_ROW * len(counts), label, parts)


def histogram(title: str, bins: Sequence[tuple[float, float]]) -> SafeString:
    """Two counts in each bin from 0 to 1: the reference (left, grey) and what is compared with it (right)."""
    width, base = 400, 130
    most = max((max(pair) for pair in bins), default=0) or 1
    step = width / max(len(bins), 1)
    parts = [
        _box(kind, (place + offset) * step, base - tall, step * 0.38, tall)
        for place, pair in enumerate(bins)
        for count, offset, kind in zip(pair, (0.1, 0.5), ("reference", "mark"), strict=True)
        for tall in [(base - 10) * count / most]
    ]
    parts += [_line("axis", 0, base, width, base)]
    parts += [_text(0, 146, "0", anchor="start"), _text(width / 2, 146, "0.5"), _text(width, 146, "1", anchor="end")]
    return _chart(width, 150, title, parts)


def curve(
    title: str, points: Iterable[Point], *, x: str, y: str, diagonal: bool = False, dots: bool = False
) -> SafeString:
    """A line through points in the unit square, both axes from 0 to 1. `x` and `y` name the axes."""
    left, top, side = 30, 26, 200

    def place(point: Point) -> Point:
        return left + point[0] * side, top + (1 - point[1]) * side

    placed = [place(point) for point in points]
    parts = [
        _line("axis", left, top + side, left + side, top + side),
        _line("axis", left, top, left, top + side),
        *([_line("axis", left, top + side, left + side, top)] if diagonal else []),
        *(_line("line", *start, *end) for start, end in pairwise(placed)),
        *(_dot(*point) for point in placed if dots),
        _text(0, 14, y, anchor="start"),
        _text(left + side / 2, top + side + 22, x),
        *(_text(left + end * side, top + side + 16, str(end)) for end in (0, 1)),
        *(_text(left - 6, top + (1 - end) * side + 4, str(end), anchor="end") for end in (0, 1)),
    ]
    return _chart(260, top + side + 30, title, parts)


class Moment(NamedTuple):
    """A value at one time with its interval; None where there is none. `is_marked` makes its dot stand out."""

    name: str
    value: float
    low: float | None
    high: float | None
    is_marked: bool = False


def timeline(title: str, moments: Sequence[Moment], *, rest: float) -> SafeString:
    """Values with their intervals from the first to the last moment, around the value `rest` of no change.

    The first and the last moment are named below, the ends of the axis at the left.
    """
    left, top, tall = 40, 10, 130
    edges = [edge for moment in moments for edge in (moment.value, moment.low, moment.high) if edge is not None]
    low, high = min([rest, *edges]), max([rest, *edges])
    span = (high - low) or 1.0
    step = (_WIDTH - left - 2 * _EDGE) / max(len(moments) - 1, 1)

    def place(value: float) -> float:
        return top + tall * (high - value) / span

    parts = [_line("axis", left, place(rest), _WIDTH, place(rest))]
    parts += [_text(left - 6, place(value) + 4, f"{value:.1f}", anchor="end") for value in {low, high}]
    placed = [(left + _EDGE + step * number, moment) for number, moment in enumerate(moments)]
    for x, moment in placed:
        if moment.low is not None and moment.high is not None:
            parts.append(_line("grid" if not moment.is_marked else "axis", x, place(moment.low), x, place(moment.high)))
    parts += [_line("line", x, place(one.value), to, place(other.value)) for (x, one), (to, other) in pairwise(placed)]
    parts += [_dot(x, place(moment.value)) for x, moment in placed if moment.is_marked or len(moments) < 3]
    if moments:
        parts.append(_text(left, top + tall + 22, moments[0].name, anchor="start"))
    if len(moments) > 1:
        parts.append(_text(_WIDTH, top + tall + 22, moments[-1].name, anchor="end"))
    newest = f"{len(moments)} looks, the newest {moments[-1].value:.2f}" if moments else "no looks"
    marked = sum(moment.is_marked for moment in moments)
    return _chart(_WIDTH, top + tall + 28, f"{title}: {newest}; marked at {marked}", parts)


def levels(title: str, names: Sequence[str], points: Sequence[tuple[str, int]]) -> SafeString:
    """How something went through named levels: one point per moment, (its name, its level), level 0 at the top.

    Only the first and the last moment are named below; all of them in the chart's name.
    """
    left, row, top = 136, 30, 12
    bottom = top + row * (len(names) - 1)
    step = (_WIDTH - left - 34) / max(len(points) - 1, 1)
    placed = [(left + 14 + step * place, top + row * level) for place, (_, level) in enumerate(points)]
    parts: list[SafeString] = []
    for number, name in enumerate(names):
        y = top + row * number
        parts += [_line("grid", left, y, _WIDTH, y), _text(0, y + 4, name, anchor="start")]
    parts += [_line("line", *start, *end) for start, end in pairwise(placed)]
    parts += [_dot(*point) for point in placed]
    if points:
        parts.append(_text(left, bottom + 28, points[0][0], anchor="start"))
    if len(points) > 1:
        parts.append(_text(_WIDTH, bottom + 28, points[-1][0], anchor="end"))
    label = f"{title}: " + "; ".join(f"{moment} {names[level]}" for moment, level in points)
    return _chart(_WIDTH, bottom + 34, label, parts)


def matrix(title: str, table: Mapping[str, Mapping[str, int]]) -> SafeString:
    """A table of counts with column and row headings."""
    columns = list(next(iter(table.values()), {}))
    parts = [_text(140 + 80 * place, 16, column, kind="name") for place, column in enumerate(columns)]
    for number, (name, row) in enumerate(table.items()):
        top = 26 + 40 * number
        parts.append(_text(0, top + 24, name, kind="name", anchor="start"))
        for place, column in enumerate(columns):
            parts += [_box("box", 100 + 80 * place, top, 80, 40), _text(140 + 80 * place, top + 24, str(row[column]))]
    return _chart(110 + 80 * len(columns), 36 + 40 * len(table), title, parts)


def flow(title: str, levels: Sequence[Sequence[Sequence[str]]]) -> SafeString:
    """A flow from top to bottom: each level a row of boxes, each box its lines; the last box of a row leads on."""
    width, gap, line, pad = 640, 26, 17, 10
    parts: list[SafeString] = []
    y = 6.0
    source: Point | None = None
    for boxes in levels:
        wide = (width - gap * (len(boxes) - 1)) / len(boxes) if len(boxes) > 1 else 400
        start = (width - wide * len(boxes) - gap * (len(boxes) - 1)) / 2
        middles = [start + place * (wide + gap) + wide / 2 for place in range(len(boxes))]
        tall = 2 * pad + line * max(len(lines) for lines in boxes)
        if source is not None:
            parts += _fork(source, middles, y, gap)
        for middle, lines in zip(middles, boxes, strict=True):
            parts.append(_box("box", middle - wide / 2, y, wide, tall))
            parts += [_text(middle, y + pad + 12 + line * row, words) for row, words in enumerate(lines)]
        source = (middles[-1], y + tall)
        y += tall + gap
    return _chart(width, int(y - gap + 6), title, parts)


def pair(title: str, first: Interval, second: Interval) -> SafeString:
    """Two values of one share, each with its interval, on one axis that ends at 1: the first grey, the second coloured.

    The axis begins at the tenth below the lowest interval, so that near values stay apart.
    """
    edges = [edge for row in (first, second) for edge in (row.low, row.value) if edge is not None]
    low = min(int(min(edges, default=0.0) * 10) / 10, 0.9)
    right = _WIDTH - _EDGE

    def place(value: float) -> float:
        return _EDGE + (right - _EDGE) * (min(max(value, low), 1.0) - low) / (1.0 - low)

    parts = [
        _line("grid", _EDGE, 84, right, 84),
        _text(_EDGE, 101, f"{low:.1f}", anchor="start"),
        _text(right, 101, "1", anchor="end"),
    ]
    for row, top, line, dot in ((first, 14, "quiet", "reference"), (second, 54, "line", "mark")):
        parts.append(_text(_EDGE, top, f"{row.name} {row.words().split(', n ')[0]}", kind="name", anchor="start"))
        if row.low is not None and row.high is not None:
            parts.append(_line(line, place(row.low), top + 14, place(row.high), top + 14))
        if row.value is not None:
            parts.append(_dot(place(row.value), top + 14, kind=dot))
    return _chart(_WIDTH, 106, f"{title}: " + "; ".join(f"{row.name} {row.words()}" for row in (first, second)), parts)


def _fork(source: Point, middles: Sequence[float], y: float, gap: float) -> list[SafeString]:
    """Lines from below one box to the tops of the boxes of the next row."""
    x, above = source
    turn = y - gap / 2
    across = _line("axis", min(x, *middles), turn, max(x, *middles), turn)
    down = [_line("axis", middle, turn, middle, y) for middle in middles]
    return [_line("axis", x, above, x, turn), across, *down]


def _chart(width: int, height: int, label: str, parts: Iterable[SafeString]) -> SafeString:
    return format_html(
        '<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{}" viewBox="-1 0 {} {}" role="img" '
        'aria-label="{}">{}</svg>',
        width,
        width + 2,
        height,
        label,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def _mark(tag: str, kind: str, attributes: Mapping[str, float | str], content: str = "") -> SafeString:
    """One SVG element in the look of its kind."""
    rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in attributes.items()}
    pairs: dict[str, float | str] = {"class": f"chart__{kind}", **rounded, **_LOOK[kind]}
    return format_html("<{}{}>{}</{}>", tag, format_html_join("", ' {}="{}"', pairs.items()), content, tag)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> SafeString:
    return _mark("line", kind, {"x1": x1, "y1": y1, "x2": x2, "y2": y2})


def _box(kind: str, x: float, y: float, width: float, height: float) -> SafeString:
    return _mark("rect", kind, {"x": x, "y": y, "width": width, "height": height})


def _dot(x: float, y: float, *, kind: str = "mark") -> SafeString:
    return _mark("circle", kind, {"cx": x, "cy": y, "r": 4})


def _text(x: float, y: float, words: str, *, kind: str = "text", anchor: str = "middle") -> SafeString:
    return _mark("text", kind, {"x": x, "y": y, "text-anchor": anchor}, words)


def _short(name: str, most: int = 48) -> str:
    return name if len(name) <= most else name[: most - 3] + "..."
