"""What happened to one photo, from its upload to its last answer: dates and sentences, never a reader's name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

from predictions.answering.models import FinalResult, Prediction
from predictions.results.wording import short_of

_SAME_MOMENT = timedelta(seconds=1)  # between the end of one result and the one that replaces it


@dataclass(frozen=True)
class Event:
    """One line of the history."""

    at: datetime
    title: str
    note: str = ""


@dataclass(frozen=True)
class Earlier:
    """The answer that an amended one replaced. `reason` is why it was amended; it may be empty."""

    words: str
    who: str
    told_at: datetime
    is_by_ai: bool
    reason: str


def results_of(prediction: Prediction) -> list[FinalResult]:
    """All final results of a prediction, the first one first: 1 query."""
    return list(prediction.final_results.order_by("at", "pk"))


def history_of(prediction: Prediction, results: Sequence[FinalResult]) -> list[Event]:
    """The events, newest first."""
    events = [Event(prediction.created_at, "Photo sent")]
    if prediction.status == Prediction.Status.FAILED:
        events.append(Event(prediction.created_at, "Sent to clinicians", "The analysis of this photo failed."))
    elif prediction.done_at is not None:
        events.append(Event(prediction.done_at, "Answered by the AI"))
    for result, following in zip_longest(results, results[1:]):
        if result.is_by_people:
            title = f"{result.get_status_display()}: {short_of(result)}"
            events.append(Event(result.at, title, _note(result)))
        if result.superseded_at is not None and not _replaces(following, result.superseded_at):
            events.append(Event(result.superseded_at, "Answer taken back", "Clinicians read the photo again."))
    return sorted(events, key=lambda event: event.at)[::-1]


def earlier_of(result: FinalResult | None, results: Sequence[FinalResult]) -> Earlier | None:
    """The answer that was told before an amended result; None for every other result."""
    if result is None or result.status != FinalResult.Status.AMENDED:
        return None
    told = [
        each for each in results if each.pk != result.pk and each.status in FinalResult.TOLD and each.at <= result.at
    ]
    if not told:
        return None
    last = told[-1]
    return Earlier(
        words=short_of(last),
        who=last.get_basis_display(),
        told_at=last.at,
        is_by_ai=not last.is_by_people,
        reason=result.reason,
    )


def _note(result: FinalResult) -> str:
    """Who answered, and why it was amended; the reason of the standing result stands above the history."""
    who = result.get_basis_display().capitalize()
    return f"{who}. Reason: {result.reason}" if result.reason and result.superseded_at is not None else who


def _replaces(following: FinalResult | None, moment: datetime) -> bool:
    return following is not None and following.at - moment < _SAME_MOMENT
