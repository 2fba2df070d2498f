"""Plots as inline SVG made on the server: one look, words beside the marks instead of legends, no chart library.

Colours and type come from `static/review/agreement.css` by class, so a plot follows the theme. Each plot belongs in a
figure with its data table (`templates/review/_plot.html`).
"""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from review.agreement.estimates import Measure

WIDTH = 360
LEFT, RIGHT = 6, 354  # of the axis, in user units
ROW, BAR_ROW, AXIS = 62, 42, 24


def words(measure: Measure) -> str:
    """The value with its interval and n, as a person reads it: "0.84 (0.77 to 0.90), n 210"."""
    found = measure.estimate
    if found.value is None:
        return f"not enough to say, n {found.n}"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}, n {found.n}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f}), n {found.n}"


def intervals(title: str, measures: Sequence[Measure], *, low: float = 0.0, high: float = 1.0) -> SafeString:
    """One row a measure: its name, its value in words, and its interval on a common axis from `low` to `high`."""
    rows = [_row(measure, number, low, high) for number, measure in enumerate(measures)]
    bottom = ROW * len(rows)
    ticks = [low + (high - low) * step / 4 for step in range(5)]
    return format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>',
        WIDTH,
        bottom + AXIS,
        f"{title}: " + "; ".join(f"{measure.name} {words(measure)}" for measure in measures),
        format_html_join("", "{}", ((_tick(tick, bottom, low, high),) for tick in ticks)),
        format_html_join("", "{}", ((row,) for row in rows)),
    )


def _tick(tick: float, bottom: int, low: float, high: float) -> SafeString:
    x = _place(tick, low, high)
    anchor = "start" if tick == low else "end" if tick == high else "middle"
    return format_html(
        '<line class="plot__grid" x1="{x}" x2="{x}" y1="0" y2="{bottom}"/>'
        '<text class="plot__tick" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>',
        x=x,
        bottom=bottom,
        y=bottom + 16,
        anchor=anchor,
        text=f"{tick:.2f}".rstrip("0").rstrip(".") or "0",
    )


def _row(measure: Measure, number: int, low: float, high: float) -> SafeString:
    found, y = measure.estimate, number * ROW
    label = format_html(
        '<text class="plot__name" x="{}" y="{}">{}</text><text class="plot__value" x="{}" y="{}">{}</text>',
        LEFT,
        y + 14,
        _short(measure.name),
        LEFT,
        y + 31,
        words(measure),
    )
    if found.value is None:
        return label
    mark = format_html('<circle class="plot__mark" cx="{}" cy="{}" r="5"/>', _place(found.value, low, high), y + 46)
    if found.low is None or found.high is None:
        return label + mark
    bar = format_html(
        '<line class="plot__interval" x1="{}" x2="{}" y1="{y}" y2="{y}"/>',
        _place(found.low, low, high),
        _place(found.high, low, high),
        y=y + 46,
    )
    return label + bar + mark


def _place(value: float, low: float, high: float) -> float:
    inside = min(max(value, low), high)
    return round(LEFT + (RIGHT - LEFT) * (inside - low) / (high - low), 1)


def _short(name: str, most: int = 48) -> str:
    return name if len(name) <= most else name[: most - 3] + "..."


def bars(title: str, counts: Sequence[tuple[str, int]]) -> SafeString:
    """One bar a count, its name and number above it."""
    most = max((count for _, count in counts), default=0) or 1
    rows = [
        format_html(
            '<text class="plot__name" x="{left}" y="{y}">{name}</text>'
            '<text class="plot__value" x="{right}" y="{y}" text-anchor="end">{count}</text>'
            '<rect class="plot__track" x="{left}" y="{top}" width="{full}" height="8" rx="2"/>'
            '<rect class="plot__bar" x="{left}" y="{top}" width="{width}" height="8" rx="2"/>',
            left=LEFT,
            right=RIGHT,
            y=number * BAR_ROW + 14,
            top=number * BAR_ROW + 22,
            name=_short(name),
            count=count,
            full=RIGHT - LEFT,
            width=round((RIGHT - LEFT) * count / most, 1),
        )
        for number, (name, count) in enumerate(counts)
    ]
    return format_html(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        BAR_ROW * len(rows),
        f"{title}: " + "; ".join(f"{name} {count}" for name, count in counts),
        format_html_join("", "{}", ((row,) for row in rows)),
    )
