"""Drift in words, for pages and notices."""

from typing import Any, Final

from django.utils.timezone import localtime

from cataract.ml.statistics.monitoring import EMBEDDING
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.drift.samples import DISAGREEMENT

NAMES: Final = {
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "short_side": "pixels of the short side",
    "fast_probability": "probability by the fast model",
    "probability": "final probability",
    DISAGREEMENT: "distance of the two models",
    EMBEDDING: "look of the photos",
}


def measure_words(name: str, row: dict[str, Any]) -> str:
    """How one measure differs: "brightness 0.6 standard deviations lower"."""
    words, size = NAMES.get(name, name), row["difference"]
    if name == EMBEDDING:
        return f"{words} (a classifier tells them apart with AUC {size:.2f})" if size is not None else words
    return f"{words} {abs(size):.1f} standard deviations {'lower' if size < 0 else 'higher'}"


def drift_words(segment: DriftSegment, check: DriftCheck | None) -> str:
    """The drift of a segment that stands, for a notice: where, since when, and in what; no data of patients."""
    when = f", since about {localtime(segment.since):%Y-%m-%d}" if segment.since is not None else ""
    found = [] if check is None else [measure_words(name, check.measures[name]) for name in check.drifted]
    return f"{segment}{when}: {'; '.join(found) or 'less than when it was confirmed'}"
