"""Charts as inline SVG: one look for pages, PDF reports and MLflow artefacts.

A chart has no script and no style attribute, so the content security policy of every page allows it. In a page
`static/css/charts.css` colours it by class, in light and dark; the presentation attributes serve PDFs and files.
Its title and its numbers in words are elements of the SVG, for screen readers; a `Figure` puts a table beside it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from django.utils.safestring import SafeString

from cataract.core.svg import Point, box, dot, drawing, line, shape, short, text

_WIDTH, _EDGE = 360, 6  # of interval and bar charts, in user units
_ROW, _BAR_ROW, _AXIS = 62, 42, 24


@dataclass(frozen=True)
class Figure:
    """A chart with its title and the table of its numbers; `text` says n and interval, `url` leads to its list.

    The first cell of a row names it. Without values `svg` is empty and `text` says so.
    `components/figure.html` shows it.
    """

    title: str
    svg: SafeString
    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    text: str = ""
    url: str = ""


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
        words = f"{tick:.2f}".rstrip("0").rstrip(".") or "0"
        parts += [
            line("grid", place(tick), 0, place(tick), bottom),
            text(place(tick), bottom + 16, words, anchor=anchor),
        ]
    for row, top in zip(rows, range(0, bottom, _ROW), strict=True):
        parts += [
            text(_EDGE, top + 14, short(row.name), kind="name", anchor="start"),
            text(_EDGE, top + 31, row.words(), anchor="start"),
        ]
        if row.low is not None and row.high is not None:
            parts.append(line("line", place(row.low), top + 46, place(row.high), top + 46))
        if row.value is not None:
            parts.append(dot(place(row.value), top + 46))
    words = "; ".join(f"{row.name} {row.words()}" for row in rows)
    return drawing(_WIDTH, bottom + _AXIS, title, words, parts)


def bars(title: str, counts: Sequence[tuple[str, int]]) -> SafeString:
    """One bar per count, with its name and number above it."""
    most = max((count for _, count in counts), default=0) or 1
    full = _WIDTH - 2 * _EDGE
    parts: list[SafeString] = []
    for number, (name, count) in enumerate(counts):
        top = number * _BAR_ROW
        parts += [
            text(_EDGE, top + 14, short(name), kind="name", anchor="start"),
            text(_WIDTH - _EDGE, top + 14, str(count), anchor="end"),
            box("track", _EDGE, top + 22, full, 8),
            box("mark", _EDGE, top + 22, full * count / most, 8),
        ]
    words = "; ".join(f"{name} {count}" for name, count in counts)
    return drawing(_WIDTH, _BAR_ROW * len(counts), title, words, parts)


def histogram(title: str, bins: Sequence[tuple[float, float]]) -> SafeString:
    """Two counts in each bin from 0 to 1: the reference (left, grey) and what is compared with it (right)."""
    width, base = 400, 130
    most = max((max(pair) for pair in bins), default=0) or 1
    step = width / max(len(bins), 1)
    parts = [
        box(kind, (place + offset) * step, base - tall, step * 0.38, tall)
        for place, pair in enumerate(bins)
        for count, offset, kind in zip(pair, (0.1, 0.5), ("reference", "mark"), strict=True)
        for tall in [(base - 10) * count / most]
    ]
    parts += [line("axis", 0, base, width, base)]
    parts += [text(0, 146, "0", anchor="start"), text(width / 2, 146, "0.5"), text(width, 146, "1", anchor="end")]
    words = "; ".join(f"bin {place + 1}: {one:g} and {other:g}" for place, (one, other) in enumerate(bins))
    return drawing(width, 150, title, words, parts)


def curve(
    title: str, points: Iterable[Point], *, x: str, y: str, diagonal: bool = False, dots: bool = False
) -> SafeString:
    """A line through points in the unit square, both axes from 0 to 1. `x` and `y` name the axes."""
    left, top, side = 30, 26, 200

    def place(point: Point) -> Point:
        return left + point[0] * side, top + (1 - point[1]) * side

    placed = [place(point) for point in points]
    parts = [
        line("axis", left, top + side, left + side, top + side),
        line("axis", left, top, left, top + side),
        *([line("axis", left, top + side, left + side, top)] if diagonal else []),
        *(line("line", *start, *end) for start, end in pairwise(placed)),
        *(dot(*point) for point in placed if dots),
        text(0, 14, y, anchor="start"),
        text(left + side / 2, top + side + 22, x),
        *(text(left + end * side, top + side + 16, str(end)) for end in (0, 1)),
        *(text(left - 6, top + (1 - end) * side + 4, str(end), anchor="end") for end in (0, 1)),
    ]
    return drawing(260, top + side + 30, title, f"{y} over {x}, both from 0 to 1", parts)


class Moment(NamedTuple):
    """A value at one time with its interval, None where there is none; a dot marks it where `is_marked`."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    is_marked: bool = False


def _plain(value: float) -> str:
    return f"{value:.2f}"


def timeline(
    title: str,
    moments: Sequence[Moment],
    *,
    rest: float | None = None,
    expected: Sequence[Moment] = (),
    words: Callable[[float], str] = _plain,
) -> SafeString:
    """A line through the values of each moment with their intervals as a band; the newest at the right edge, labelled.

    rest: a value to compare with, as a line of its own. expected: moments to come, dashed, after a line at today.
    words: how a value is written. The first and the last moment are named below.
    """
    left, right, top, tall = 44, 52, 12, 130
    every = [*moments, *expected]
    edges = [edge for each in every for edge in (each.value, each.low, each.high, rest) if edge is not None]
    low, high = min(edges, default=0.0), max(edges, default=1.0)
    span = (high - low) or 1.0
    step = (_WIDTH - left - right) / max(len(every) - 1, 1)

    def place(number: int, value: float) -> Point:
        return left + step * number, top + tall * (high - value) / span

    parts = [line("grid", left, place(0, value)[1], _WIDTH - right, place(0, value)[1]) for value in {low, high}]
    parts += _bands(every, place)
    if rest is not None:
        parts.append(line("axis", left, place(0, rest)[1], _WIDTH - right, place(0, rest)[1]))
    parts += [text(left - 6, place(0, value)[1] + 4, words(value), anchor="end") for value in {low, high}]
    if expected:
        now = place(len(moments) - 1, low)[0]
        parts += [line("axis", now, top - 6, now, top + tall), text(now - 4, top, "today", anchor="end")]
    known = [(number, each, each.value) for number, each in enumerate(every) if each.value is not None]
    for (one, _, value), (other, _, to) in pairwise(known):
        kind = "expected" if other >= len(moments) else "line"
        parts.append(line(kind, *place(one, value), *place(other, to)))
    alone = len(known) < 3
    parts += [dot(*place(number, value)) for number, each, value in known if each.is_marked or alone]
    if known:
        number, _, value = known[-1]
        x, y = place(number, value)
        parts += [dot(x, y), text(x + 8, y + 4, words(value), kind="name", anchor="start")]
    if every:
        parts.append(text(left, top + tall + 20, every[0].name, anchor="start"))
    if len(every) > 1:
        parts.append(text(left + step * (len(every) - 1), top + tall + 20, every[-1].name, anchor="end"))
    told = "; ".join(f"{each.name} {words(value)}" for _, each, value in (known[:1] + known[-1:] if known else []))
    marked = sum(each.is_marked for each in every)
    return drawing(
        _WIDTH,
        top + tall + 28,
        title,
        f"{told or 'no values yet'}; marked at {marked}" if marked else told or "no values yet",
        parts,
    )


def _bands(every: Sequence[Moment], place: Callable[[int, float], Point]) -> list[SafeString]:
    """The intervals as areas, one for each stretch of moments that have one."""
    stretches: list[list[tuple[Point, Point]]] = [[]]
    for number, each in enumerate(every):
        if each.low is None or each.high is None:
            stretches.append([])
        else:
            stretches[-1].append((place(number, each.high), place(number, each.low)))
    return [
        shape("band", [above for above, _ in stretch] + [below for _, below in reversed(stretch)])
        if len(stretch) > 1
        else line("axis", *stretch[0][0], *stretch[0][1])
        for stretch in stretches
        if stretch
    ]


def columns(title: str, days: Sequence[tuple[str, Sequence[int]]], parts_named: Sequence[str]) -> SafeString:
    """One column a day, stacked from two counts, each named beside the newest; the newest day at the right edge.

    The first count is drawn strong and at the bottom, the second pale above it. First and last day are named below.
    """
    left, right, top, tall = 34, 92, 16, 130
    most = max((sum(counts) for _, counts in days), default=0) or 1
    step = (_WIDTH - left - right) / max(len(days), 1)
    base = top + tall
    drawn = [line("grid", left, top, _WIDTH - right, top), text(left - 6, top + 4, f"{most}", anchor="end")]
    for number, (_, counts) in enumerate(days):
        bottom = float(base)
        for kind, count in zip(("mark", "pale"), counts, strict=True):
            height = tall * count / most
            bottom -= height
            if count:
                drawn.append(box(kind, left + step * number + step * 0.1, bottom, step * 0.8, height))
    drawn += [line("axis", left, base, _WIDTH - right, base), text(left - 6, base + 4, "0", anchor="end")]
    if days:
        _, newest = days[-1]
        x = _WIDTH - right + 8
        drawn += [text(x, base - 4, f"{newest[0]} {parts_named[0]}", kind="name", anchor="start")]
        drawn += [text(x, base - 22, f"{newest[1]} {parts_named[1]}", anchor="start")]
        drawn += [
            text(left, base + 20, days[0][0], anchor="start"),
            text(_WIDTH - right, base + 20, days[-1][0], anchor="end"),
        ]
    told = "; ".join(
        f"{day} " + ", ".join(f"{n} {name}" for n, name in zip(counts, parts_named, strict=True))
        for day, counts in days
    )
    return drawing(_WIDTH, base + 28, title, told or "no days yet", drawn)


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
        parts += [line("grid", left, y, _WIDTH, y), text(0, y + 4, name, anchor="start")]
    parts += [line("line", *start, *end) for start, end in pairwise(placed)]
    parts += [dot(*point) for point in placed]
    if points:
        parts.append(text(left, bottom + 28, points[0][0], anchor="start"))
    if len(points) > 1:
        parts.append(text(_WIDTH, bottom + 28, points[-1][0], anchor="end"))
    words = "; ".join(f"{moment} {names[level]}" for moment, level in points)
    return drawing(_WIDTH, bottom + 34, title, words, parts)


def matrix(title: str, table: Mapping[str, Mapping[str, int]]) -> SafeString:
    """A table of counts with column and row headings."""
    columns = list(next(iter(table.values()), {}))
    parts = [text(140 + 80 * place, 16, column, kind="name") for place, column in enumerate(columns)]
    for number, (name, row) in enumerate(table.items()):
        top = 26 + 40 * number
        parts.append(text(0, top + 24, name, kind="name", anchor="start"))
        for place, column in enumerate(columns):
            parts += [box("box", 100 + 80 * place, top, 80, 40), text(140 + 80 * place, top + 24, str(row[column]))]
    words = "; ".join(f"{name}: " + ", ".join(f"{row[each]} {each}" for each in columns) for name, row in table.items())
    return drawing(110 + 80 * len(columns), 36 + 40 * len(table), title, words, parts)


def flow(title: str, levels: Sequence[Sequence[Sequence[str]]]) -> SafeString:
    """A flow from top to bottom: each level a row of boxes, each box its lines; the last box of a row leads on."""
    width, gap, leading, pad = 640, 26, 17, 10
    parts: list[SafeString] = []
    y = 6.0
    source: Point | None = None
    for boxes in levels:
        wide = (width - gap * (len(boxes) - 1)) / len(boxes) if len(boxes) > 1 else 400
        start = (width - wide * len(boxes) - gap * (len(boxes) - 1)) / 2
        middles = [start + place * (wide + gap) + wide / 2 for place in range(len(boxes))]
        tall = 2 * pad + leading * max(len(lines) for lines in boxes)
        if source is not None:
            parts += _fork(source, middles, y, gap)
        for middle, lines in zip(middles, boxes, strict=True):
            parts.append(box("box", middle - wide / 2, y, wide, tall))
            parts += [text(middle, y + pad + 12 + leading * row, words) for row, words in enumerate(lines)]
        source = (middles[-1], y + tall)
        y += tall + gap
    words = "; then ".join(", ".join(" ".join(lines) for lines in boxes) for boxes in levels)
    return drawing(width, int(y - gap + 6), title, words, parts)


def _fork(source: Point, middles: Sequence[float], y: float, gap: float) -> list[SafeString]:
    """Lines from below one box to the tops of the boxes of the next row."""
    x, above = source
    turn = y - gap / 2
    across = line("axis", min(x, *middles), turn, max(x, *middles), turn)
    down = [line("axis", middle, turn, middle, y) for middle in middles]
    return [line("axis", x, above, x, turn), across, *down]
