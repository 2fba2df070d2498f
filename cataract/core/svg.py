"""The elements of charts: SVG without script and style, coloured by class on pages and by attributes in files."""

import re
from collections.abc import Iterable, Mapping

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

Point = tuple[float, float]

_TEXT: dict[str, str | int] = {"fill": "#1a1f1d", "font-family": "sans-serif", "font-size": 12}
_GREY, _BLUE, _PALE = "#7b827f", "#0a5c68", "#e8ebea"
_LOOK: dict[str, dict[str, str | int | float]] = {
    "text": {**_TEXT},
    "name": {**_TEXT, "font-weight": "bold"},
    "axis": {"stroke": _GREY},
    "grid": {"stroke": _PALE},
    "line": {"stroke": _BLUE, "stroke-width": 2},
    "expected": {"stroke": _BLUE, "stroke-width": 2, "stroke-dasharray": "4 4"},
    "mark": {"fill": _BLUE},
    "pale": {"fill": "#a9c6ca"},
    "band": {"fill": "#dbe8ea"},
    "reference": {"fill": _GREY},
    "track": {"fill": _PALE},
    "box": {"fill": "#ffffff", "stroke": _GREY},
}


def drawing(width: int, height: int, title: str, words: str, parts: Iterable[SafeString]) -> SafeString:
    """The chart: `title` is its name and `words` its description for those who cannot see it."""
    return format_html(
        '<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="{}" viewBox="-1 0 {} {}" role="img">'
        "<title>{}</title><desc>{}</desc>{}</svg>",
        width,
        width + 2,
        height,
        title,
        words,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def without_words(svg: str) -> str:
    """A chart without its name and description, for programs that do not know these elements."""
    return re.sub(r"<(title|desc)>.*?</\1>", "", svg, flags=re.DOTALL)


def mark(tag: str, kind: str, attributes: Mapping[str, float | str], content: str = "") -> SafeString:
    """One SVG element in the look of its kind."""
    rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in attributes.items()}
    pairs: dict[str, float | str] = {"class": f"chart__{kind}", **rounded, **_LOOK[kind]}
    return format_html("<{}{}>{}</{}>", tag, format_html_join("", ' {}="{}"', pairs.items()), content, tag)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> SafeString:
    return mark("line", kind, {"x1": x1, "y1": y1, "x2": x2, "y2": y2})


def box(kind: str, x: float, y: float, width: float, height: float) -> SafeString:
    return mark("rect", kind, {"x": x, "y": y, "width": width, "height": height})


def dot(x: float, y: float) -> SafeString:
    return mark("circle", "mark", {"cx": x, "cy": y, "r": 4})


def shape(kind: str, points: Iterable[Point]) -> SafeString:
    """A filled outline through these points."""
    return mark("polygon", kind, {"points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points)})


def text(x: float, y: float, words: str, *, kind: str = "text", anchor: str = "middle") -> SafeString:
    return mark("text", kind, {"x": x, "y": y, "text-anchor": anchor}, words)


def short(name: str, most: int = 48) -> str:
    """The name, cut with dots where it is too long for a chart."""
    return name if len(name) <= most else name[: most - 3] + "..."
