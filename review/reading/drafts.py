"""When a case was first shown to its reader, what that reader has typed so far, and how fast an answer came."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from review.cases.models import Draft, Reading, ReviewCase

FIELDS = ("grade", "detail", "confidence", "note", "reason")  # of the forms of the reading page
LONGEST = 2000  # characters of one field


def note_shown(case_id: UUID, reader: User) -> None:
    """Start the clock of this reader on this case, unless it runs already. One INSERT."""
    Draft.objects.bulk_create([Draft(case_id=case_id, reader=reader)], ignore_conflicts=True)


def show_again(case: ReviewCase, reader: User) -> None:
    """Start the clock anew, because an answer was undone."""
    Draft.objects.update_or_create(case=case, reader=reader, defaults={"shown_at": timezone.now()})


def save(*, case: ReviewCase, reader: User, sent: Mapping[str, Any]) -> None:
    """Keep what the reader has typed; fields that no form has are dropped."""
    content = {name: str(sent[name])[:LONGEST] for name in FIELDS if sent.get(name)}
    Draft.objects.update_or_create(case=case, reader=reader, defaults={"content": content})


def content_of(case: ReviewCase, reader: User) -> dict[str, str]:
    """What this reader has typed on this case and not sent yet."""
    return Draft.objects.filter(case=case, reader=reader).values_list("content", flat=True).first() or {}


def seconds_shown(case: ReviewCase, reader: User) -> float | None:
    """Seconds since the case was first shown to this reader, by the server's clock; None where it never was."""
    draft = Draft.objects.filter(case=case, reader=reader).first()
    return None if draft is None else _since(draft)


def end(case: ReviewCase, reader: User) -> float | None:
    """Forget what was typed, because an answer is being stored; returns `seconds_shown`."""
    draft = Draft.objects.filter(case=case, reader=reader).first()
    if draft is None:
        return None
    if draft.content:
        Draft.objects.filter(pk=draft.pk).update(content={})
    return _since(draft)


def _since(draft: Draft) -> float:
    return max(0.0, (timezone.now() - draft.shown_at).total_seconds())


def pace_of(*seconds: float | None) -> str | None:
    """How an answer that took so long is marked: too fast, a quick look, or not at all. The shortest time counts."""
    took = min((each for each in seconds if each is not None), default=None)
    if took is None:
        return None
    if took < settings.REVIEW_TOO_FAST_SECONDS:
        return Reading.Pace.TOO_FAST
    return Reading.Pace.QUICK if took < settings.REVIEW_QUICK_SECONDS else None
