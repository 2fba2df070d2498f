"""Reads: which cases may be practised on, what one reader gets, and who is qualified."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q

from predictions.answering.models import Disclosure
from predictions.photos.models import Split
from review.cases.models import Reading, ReviewCase, ReviewCaseQuerySet
from review.practice.models import Instructions, PracticeItem, PracticeSession

_DEFAULT = (
    "Look at the pupil first. A healthy lens is clear: the pupil is black, with at most a small bright reflection "
    "of the lamp.",
    'Answer "Cataract" when the lens is cloudy: grey, white or brown in the pupil. A reflection is something else: it '
    "is small, has a sharp edge and is as white as can be.",
    "Immature: the pupil looks grey, or part of the lens is still clear. Mature: the whole pupil is white or brown.",
    'Answer "Cannot judge" when the photo does not show the lens: blurred, too dark, a reflection over the pupil, or '
    "the lid. Do not guess. The photo can be taken again.",
    'Answer "Other pathology" when something else needs a doctor: a red eye, a scar on the cornea, a growth over the '
    'cornea, an artificial lens. Answer "Not an eye" when the photo shows something else.',
    "Say that you are unsure when you are: a second reader looks too. Take the time that you need, and short breaks.",
)
DEFAULT_INSTRUCTIONS = "\n\n".join(_DEFAULT)


def instructions_text() -> str:
    """The instructions of this installation, else the default ones."""
    written = Instructions.objects.first()
    return DEFAULT_INSTRUCTIONS if written is None else written.text


def suitable() -> ReviewCaseQuerySet:
    """Cases that may be practised on, each with its `answer`: told to the sender by people, and settled.

    Photos of the test split stay out: releases are judged on them. So do those of the stream, whose patients are read
    blind for ever.
    """
    cases = ReviewCase.objects.settled().with_answer_of_people()
    return cases.exclude(image__split=Split.TEST).exclude(image__always_read=True)


def chosen_for(reader: User, *, unseen: bool) -> ReviewCaseQuerySet:
    """The chosen cases that this reader has neither read nor sent. unseen: and was never shown an answer of."""
    own = Reading.objects.filter(case__image=OuterRef("image"), reader=reader)
    cases = suitable().filter(~Exists(own), practice__isnull=False).exclude(image__uploaded_by=reader)
    if unseen:
        shown = Disclosure.objects.filter(image=OuterRef("image"), user=reader)
        practised = PracticeItem.objects.filter(case=OuterRef("pk"), session__reader=reader).exclude(answer="")
        cases = cases.filter(~Exists(shown), ~Exists(practised))
    return cases


def answers_of(cases: ReviewCaseQuerySet) -> list[tuple[UUID, str]]:
    """The id and the right answer of each of these suitable cases."""
    return list(cases.values_list("pk", "answer"))  # type: ignore[misc]  # `answer` is an annotation


def is_qualified(reader: User) -> Q:
    """As a condition on any row: this reader passed the qualifying set, read before it was asked for, or need not."""
    if not settings.REVIEW_QUALIFYING_CASES:
        return Q()
    passed = PracticeSession.objects.filter(reader=reader, kind=PracticeSession.Kind.QUALIFYING, passed=True)
    return Q(Exists(passed)) | Q(Exists(Reading.objects.filter(reader=reader)))
