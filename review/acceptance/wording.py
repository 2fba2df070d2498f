"""The state of one side as the page, the API and the command say it."""

from dataclasses import dataclass

from cataract.ml.labels import NORMAL
from predictions.acceptance.models import Acceptance
from review.acceptance.models import Progress


@dataclass(frozen=True)
class Side:
    """One side of a release at a site or device.

    state: "accepted", "by hand", "held" (withdrawn by hand) or "counting". needed: what `progress.n` has to become.
    """

    progress: Progress
    decided: Acceptance | None

    @property
    def state(self) -> str:
        if self.decided is not None and self.decided.accepted:
            return "by hand" if self.decided.basis == Acceptance.Basis.HAND else "accepted"
        is_held = self.decided is not None and self.decided.basis == Acceptance.Basis.HAND
        return "held" if is_held else "counting"

    @property
    def accepted(self) -> bool:
        return self.state in ("accepted", "by hand")

    @property
    def needed(self) -> int | None:
        return None if self.progress.missing is None else self.progress.n + self.progress.missing

    @property
    def next(self) -> str:
        """What is missing, or what stands, in a sentence."""
        row, decided = self.progress, self.decided
        if decided is not None and self.accepted:
            who = f"by {decided.by}, not by evidence" if decided.by else "by the site's labels"
            return f"Accepted {who} on {decided.at:%Y-%m-%d}: {decided.reason} The photos since then watch over it."
        if decided is not None and self.state == "held":
            return f"Withdrawn by {decided.by} on {decided.at:%Y-%m-%d}, until somebody decides again: {decided.reason}"
        again = "" if row.since is None else f" Counted again since {row.since:%Y-%m-%d}."
        waits = f"{row.waiting} photo{'s wait' if row.waiting != 1 else ' waits'} for readers." if row.waiting else ""
        return f"{self._missing}{again} {waits}".strip()

    @property
    def _missing(self) -> str:
        row = self.progress
        if row.missing is None:
            return "Out of reach: too many errors."
        if not row.missing:
            return "Enough: accepted at the next count."
        what = "eyes with a cataract" if row.side == NORMAL else "automatic “cataract” answers"
        return f"Missing: {row.missing} more {what} without an{'other' if row.errors else ''} error."
