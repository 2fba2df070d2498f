"""Figures of readers in words."""

from cataract.ml.statistics.intervals import wilson


def share_in_words(hits: int, n: int) -> str:
    """ "18 of 20 (90 %, 95 % interval 70 to 97 %)", Wilson's interval; "none" without any."""
    if not n:
        return "none"
    low, high = wilson(hits, n)
    return f"{hits} of {n} ({hits / n * 100:.0f} %, 95 % interval {low * 100:.0f} to {high * 100:.0f} %)"
