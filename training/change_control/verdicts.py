"""The verdicts of release gates, and one row of the report."""

from collections.abc import Sequence
from typing import Any

# A warning is shown and forbids nothing; a note says why something is not judged.
PASS, FAIL, TOO_FEW, WARNING, NOTE = "pass", "fail", "too_few", "warning", "note"
TEST, SINCE = "test", "since"  # the two sets of photos


def worst(rows: Sequence[dict[str, Any]]) -> str:
    """The verdict of the plan: FAIL if a gate fails, else TOO_FEW if one is open, else PASS."""
    verdicts = {row["verdict"] for row in rows}
    return next((verdict for verdict in (FAIL, TOO_FEW) if verdict in verdicts), PASS)


def gate_row(
    id: str, measure: str, title: str, n: int, verdict: str, reason: str, *, on: str = TEST, **figures: Any
) -> dict[str, Any]:
    """A row of the report. figures: champion, challenger, difference, low, high, margin, where there are any."""
    empty = dict.fromkeys(("champion", "challenger", "difference", "low", "high", "margin"))
    row = {"id": id, "measure": measure, "title": title, "on": on, "n": n, "verdict": verdict, "reason": reason}
    return {**empty, **row, **figures}
