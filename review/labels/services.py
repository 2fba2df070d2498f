"""Turn readings into the label of a photo."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label

KEPT = (
    "image_id", "answer", "provenance", "may_train", "case_id", "outcome_id", "weight", "created_at", "supersedes_id",
)  # fmt: skip
# A stronger provenance replaces a weaker or equal one, never the other way round. Outcomes stand beside all of them.
RANK: dict[str, int] = {
    Label.Provenance.AFTER_AI: 0,
    Label.Provenance.IMPORTED: 1,
    Label.Provenance.BLIND: 2,
    Label.Provenance.ADJUDICATED: 3,
}


def make_label(*, case: ReviewCase, readings: Sequence[Reading], answer: str) -> Label:
    """Store the label that these readings make and return it; return the standing label if its provenance is stronger.

    BLIND: every reader answered before seeing the AI; trains unless one of them was too fast to have looked.
    ADJUDICATED: a third person decided; trains unless that person had seen the AI's answer.
    AFTER_AI: everything else; never trains.
    """
    adjudication = next((each for each in readings if each.role == Reading.Role.ADJUDICATOR), None)
    is_blind = all(each.blind_answer == each.final_answer and not each.ai_shown_first for each in readings)
    provenance = Label.Provenance.BLIND if is_blind else Label.Provenance.AFTER_AI
    if adjudication is not None:
        provenance = Label.Provenance.ADJUDICATED
    with transaction.atomic(savepoint=False):
        agreed = Label.objects.exclude(provenance=Label.Provenance.OUTCOME)
        newest = agreed.filter(image=case.image_id).order_by("-created_at").first()
        now = timezone.now()
        if newest is not None and newest.superseded_at is None:
            if RANK[newest.provenance] > RANK[provenance]:
                return newest
            Label.objects.filter(pk=newest.pk).update(superseded_at=now)
        had_looked = all(each.pace != Reading.Pace.TOO_FAST for each in readings)
        label = Label.objects.create(
            image_id=case.image_id,
            answer=answer,
            provenance=provenance,
            may_train=not adjudication.ai_shown_first if adjudication is not None else is_blind and had_looked,
            case=case,
            weight=1 / case.review_propensity,
            supersedes=newest,
            created_at=now,
        )
        links = [Label.readings.through(label=label, reading=reading) for reading in readings]
        Label.readings.through.objects.bulk_create(links)
        record(Act.LABELLED, about=label, columns=KEPT, case=str(case.pk), readings=[str(each.pk) for each in readings])
    return label
