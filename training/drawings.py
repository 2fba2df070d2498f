"""Drawings as inline SVG made on the server: no script, no style attribute, so that every page's policy allows them.

Colours come from `static/css/training.css` by class. Each stands beside a table with the same numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_WIDTH, _HEIGHT, _BASE = 400, 150, 130


def histogram(bins: Sequence[Mapping[str, Any]]) -> SafeString:
    """Champion (left bar) and challenger (right bar) in each bin of `low` to `high`."""
    top = max((max(row["champion"], row["challenger"]) for row in bins), default=0) or 1
    step = _WIDTH / len(bins)
    bars = [
        (
            side,
            round(number * step + offset * step, 1),
            round(_BASE - height, 1),
            round(step * 0.38, 1),
            round(height, 1),
        )
        for number, row in enumerate(bins)
        for side, offset in (("champion", 0.1), ("challenger", 0.5))
        for height in [(_BASE - 10) * row[side] / top]
    ]
    return format_html(
        '<svg class="drawing" viewBox="0 0 {} {}" role="img" aria-label="How often each gave which probability">'
        '{}<line class="drawing__axis" x1="0" y1="{}" x2="{}" y2="{}"></line>{}</svg>',
        _WIDTH,
        _HEIGHT,
        format_html_join("", '<rect class="drawing__{}" x="{}" y="{}" width="{}" height="{}"></rect>', bars),
        _BASE,
        _WIDTH,
        _BASE,
        format_html_join(
            "",
            '<text class="drawing__text" x="{}" y="{}" text-anchor="{}">{}</text>',
            [
                (0, _HEIGHT - 4, "start", "0"),
                (_WIDTH / 2, _HEIGHT - 4, "middle", "0.5"),
                (_WIDTH, _HEIGHT - 4, "end", "1"),
            ],
        ),
    )
