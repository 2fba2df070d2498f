"""Give photos the labels that later outcomes make."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.ml.labels import CLASSES
from predictions.answering.models import Prediction
from review.labels.models import Label
from review.labels.services import KEPT
from review.outcomes.models import Outcome
from review.outcomes.photos import with_photos


def label_photos(*, patients: Iterable[UUID] | None = None) -> int:
    """Give the photos of these patients (None: all) the labels that outcomes make; returns how many changed.

    An outcome label stands beside what readers agreed on. It trains only where the photo can be judged: readers, or
    the AI where none has read it, answered cataract or normal. Safe to run twice, at any time.
    """
    outcomes, labels = Outcome.objects.all(), Label.objects.standing().filter(provenance=Label.Provenance.OUTCOME)
    if patients is not None:
        of_these = list(patients)
        outcomes = outcomes.filter(patient__in=of_these)
        labels = labels.filter(Q(image__patient__in=of_these) | Q(outcome__patient__in=of_these))
    with transaction.atomic():
        speaks = {image.pk: outcome for image, outcome in with_photos(outcomes) if outcome.truth}
        can_be_judged = _judgeable(list(speaks))
        wanted = {image: (outcome.pk, outcome.truth, image in can_be_judged) for image, outcome in speaks.items()}
        held = {label.image_id: label for label in labels}
        changed = [pk for pk in {*wanted, *held} if wanted.get(pk) != _says(held.get(pk))]
        now = timezone.now()
        Label.objects.standing().filter(pk__in=[held[pk].pk for pk in changed if pk in held]).update(superseded_at=now)
        for pk in changed:
            if pk in wanted:
                outcome, answer, may_train = wanted[pk]
                label = Label.objects.create(
                    image_id=pk,
                    answer=answer,
                    provenance=Label.Provenance.OUTCOME,
                    may_train=may_train,
                    outcome_id=outcome,
                    supersedes=held.get(pk),
                    created_at=now,
                )
                record(Act.LABELLED, about=label, columns=KEPT, outcome=str(outcome))
    return len(changed)


def _says(label: Label | None) -> tuple[UUID | None, str, bool] | None:
    return None if label is None else (label.outcome_id, label.answer, label.may_train)


def _judgeable(images: Sequence[UUID]) -> set[UUID]:
    """The photos that readers, or the AI where none has read them, could judge."""
    done = Prediction.objects.filter(image__in=images, status=Prediction.Status.DONE).order_by("created_at")
    answers = dict(done.values_list("image_id", "decision"))
    agreed = Label.objects.standing().filter(image__in=images).exclude(provenance=Label.Provenance.OUTCOME)
    answers |= dict(agreed.values_list("image_id", "answer"))
    return {image for image, answer in answers.items() if answer in CLASSES}
