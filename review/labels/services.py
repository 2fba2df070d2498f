"""How readings become the label of a photo."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from review.cases.models import Reading, ReviewCase
from review.labels.models import Label

# What is known better replaces what is known worse, never the other way round.
RANK = {"after_ai": 0, "imported": 1, "blind": 2, "adjudicated": 3}


def make_label(*, case: ReviewCase, readings: Sequence[Reading], answer: str) -> Label:
    """Store the truth that these readings make, in place of what stood before and was known worse.

    Blind: every reader said it before seeing the AI. Adjudicated: a third person decided, who trains the next models
    only if that person had not seen the AI's answer. After AI: the rest, which never trains.
    """
    judge = next((each for each in readings if each.role == Reading.Role.ADJUDICATOR), None)
    blind = all(each.blind_answer == each.final_answer and not each.ai_shown_first for each in readings)
    provenance = Label.Provenance.BLIND if blind else Label.Provenance.AFTER_AI
    if judge is not None:
        provenance = Label.Provenance.ADJUDICATED
    with transaction.atomic(savepoint=False):
        newest = Label.objects.filter(image=case.image_id).order_by("-created_at").first()
        stands = newest is not None and newest.superseded_at is None
        if newest is not None and stands and RANK[newest.provenance] > RANK[provenance]:
            return newest
        now = timezone.now()
        if newest is not None and stands:
            Label.objects.filter(pk=newest.pk).update(superseded_at=now)
        label = Label.objects.create(
            image_id=case.image_id,
            answer=answer,
            provenance=provenance,
            may_train=not judge.ai_shown_first if judge is not None else blind,
            case=case,
            weight=1 / case.review_propensity,
            supersedes=newest,
            created_at=now,
        )
        links = [Label.readings.through(label=label, reading=reading) for reading in readings]
        Label.readings.through.objects.bulk_create(links)
    return label
