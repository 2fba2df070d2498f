"""Charts of two things side by side: champion and challenger, and the losses of a training; in the look of charts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from django.utils.safestring import SafeString

from cataract.core.charts import Interval
from cataract.core.svg import Point, drawing, line, mark, text

_WIDTH, _EDGE = 360, 6  # in user units
_GREY = {"line": "axis", "dot": "reference"}
_COLOUR = {"line": "line", "dot": "mark"}


class Series(NamedTuple):
    """A line through `points`, named at its end. is_quiet: grey, to compare with. is_dots: points without a line."""

    name: str
    points: Sequence[Point]
    is_quiet: bool = False
    is_dots: bool = False


def pair(title: str, first: Interval, second: Interval) -> SafeString:
    """Two values of one share, each with its interval, on one axis that ends at 1: the first grey, the second coloured.

    The axis begins at the tenth below the lowest interval, so that near values stay apart.
    """
    edges = [edge for row in (first, second) for edge in (row.low, row.value) if edge is not None]
    low, right = min(int(min(edges, default=0.0) * 10) / 10, 0.9), _WIDTH - _EDGE

    def place(value: float) -> float:
        return _EDGE + (right - _EDGE) * (min(max(value, low), 1.0) - low) / (1.0 - low)

    parts = [
        line("grid", _EDGE, 84, right, 84),
        text(_EDGE, 101, f"{low:.1f}", anchor="start"),
        text(right, 101, "1", anchor="end"),
    ]
    for row, top, look in ((first, 14, _GREY), (second, 54, _COLOUR)):
        parts.append(text(_EDGE, top, f"{row.name} {row.words().split(', n ')[0]}", kind="name", anchor="start"))
        if row.low is not None and row.high is not None:
            parts.append(_stroke(look["line"], (place(row.low), top + 14), (place(row.high), top + 14)))
        if row.value is not None:
            parts.append(mark("circle", look["dot"], {"cx": place(row.value), "cy": top + 14, "r": 5}))
    return drawing(_WIDTH, 106, title, "; ".join(f"{row.name} {row.words()}" for row in (first, second)), parts)


def losses(title: str, series: Sequence[Series], *, x: str, y: str) -> SafeString:
    """Lines over steps from the lowest to the highest value, each with its name and last value at the right."""
    left, right, top, tall = 40, 118, 26, 130
    points = [point for each in series for point in each.points]
    least, most = min((point[0] for point in points), default=0.0), max((point[0] for point in points), default=1.0)
    low, high = min((point[1] for point in points), default=0.0), max((point[1] for point in points), default=1.0)
    wide, span = (most - least) or 1.0, (high - low) or 1.0

    def place(point: Point) -> Point:
        return left + (_WIDTH - left - right) * (point[0] - least) / wide, top + tall * (high - point[1]) / span

    parts = [
        text(0, 14, y, anchor="start"),
        line("axis", left, top + tall, _WIDTH - right, top + tall),
        *(text(left - 6, place((least, value))[1] + 4, f"{value:.2f}", anchor="end") for value in sorted({low, high})),
        text(left, top + tall + 18, f"{least:g}"),
        text(_WIDTH - right, top + tall + 18, f"{x} {most:g}", anchor="end"),
    ]
    beside: list[float] = []
    for each in series:
        look, placed = _GREY if each.is_quiet else _COLOUR, [place(point) for point in each.points]
        if not each.is_dots:
            parts += [_stroke(look["line"], one, other) for one, other in pairwise(placed)]
        if each.is_dots or len(placed) == 1:
            parts += [mark("circle", look["dot"], {"cx": at, "cy": up, "r": 3}) for at, up in placed]
        if placed:
            down = _free(placed[-1][1] + 4, beside)
            words = f"{each.name} {each.points[-1][1]:.3f}"
            parts.append(
                text(_WIDTH - right + 8, down, words, kind="text" if each.is_quiet else "name", anchor="start")
            )
    told = "; ".join(f"{each.name}: {len(each.points)} values, the last {each.points[-1][1]:.3f}" for each in series)
    return drawing(_WIDTH, top + tall + 24, title, f"{y} by {x}. {told}", parts)


def _stroke(kind: str, start: Point, end: Point) -> SafeString:
    """A line two units wide, whatever its kind."""
    return mark("line", kind, {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1], "stroke-width": 2})


def _free(wanted: float, taken: list[float]) -> float:
    """A place for a label near `wanted`, clear of those that are there; it is noted in `taken`."""
    place = wanted
    while any(abs(place - other) < 15 for other in taken):
        place += 15
    taken.append(place)
    return place
