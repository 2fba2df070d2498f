"""Reads: what became of the cases that a reader read, and the figures of their notes."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from predictions.answering.models import FinalResult
from review.cases.models import Reading, ReviewCase
from review.feedback.models import QualityNote
from review.practice.wording import share_in_words

OWN_ANSWER = F("final_answer")
EARLIER = 8  # weeks before a note, together the reader's own baseline


def resolved_readings(reader: User) -> "QuerySet[Reading]":
    """The standing readings of this reader whose case is settled and was told to the sender, each with that `result`.

    Hidden checks are none of them. Neither are cases of an eye of which another photo still waits for readers: they
    appear when that one is resolved, so that nobody stops being a blind reader by looking here.
    """
    told = FinalResult.objects.standing().by_people().filter(status__in=FinalResult.TOLD)
    result = told.filter(prediction=OuterRef("case__prediction")).values("answer")[:1]
    readings = Reading.objects.standing().filter(reader=reader, case__in=ReviewCase.objects.settled())
    readings = readings.exclude(final_answer="").exclude(role=Reading.Role.ADJUDICATOR)
    return readings.annotate(result=Subquery(result)).filter(result__isnull=False)


def read_by_another(reader: User) -> Exists:
    """As a condition on readings: somebody else read the case as well, so that agreeing says something."""
    others = Reading.objects.standing().filter(case=OuterRef("case")).exclude(reader=reader)
    return Exists(others)


@dataclass(frozen=True)
class Figure:
    """A share in words: "18 of 20 (90 %, 95 % interval 70 to 97 %)", and that of the reader's own earlier weeks."""

    name: str
    words: str
    earlier: str


def figures_of(note: QualityNote) -> list[Figure]:
    """The figures of a note beside those of the same reader's EARLIER weeks before it."""
    before = list(QualityNote.objects.filter(reader=note.reader_id, week__lt=note.week)[:EARLIER])
    return [
        Figure(
            "Agreement with the final result",
            share_in_words(note.agreed, note.compared),
            share_in_words(sum(each.agreed for each in before), sum(each.compared for each in before)),
        ),
        Figure(
            "Control cases answered as known",
            share_in_words(note.controls_right, note.controls),
            share_in_words(sum(each.controls_right for each in before), sum(each.controls for each in before)),
        ),
    ]
