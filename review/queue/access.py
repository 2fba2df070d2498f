"""What a person may do with a case now, and what of it that person may see."""

from django.contrib.auth.models import User
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When

from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import ADJUDICATE, Person
from review.queue.claims import held_by
from review.queue.policy import opinion


def own_reading(case: ReviewCase, person: Person) -> Reading | None:
    """This person's standing answer to a case."""
    return Reading.objects.filter(case=case, reader_id=person.pk, retracted_at__isnull=True).first()


def step(case: ReviewCase, person: Person, *, just_claimed: bool = False) -> str:
    """What this person may do with a case now: blind, reveal, adjudicate, finished or closed."""
    own = own_reading(case, person)
    if own is not None:
        return "finished" if own.final_answer else "reveal"
    if not just_claimed and not held_by(person).filter(pk=case.pk).exists():
        return "closed"
    return "adjudicate" if case.status == ReviewCase.Status.ADJUDICATION else "blind"


def may_see_photo(case: ReviewCase, person: User) -> bool:
    """Whoever reads the case, has read it, adjudicates, or may see every photo."""
    return (
        held_by(person).filter(pk=case.pk).exists()
        or Reading.objects.filter(case=case, reader=person).exists()
        or person.has_perm("predictions.view_every_eyeimage")
        or person.has_perm(ADJUDICATE)
    )


def is_told(case: ReviewCase, own: Reading | None) -> bool:
    """Whether this standing answer has earned the AI's: not an adjudicator's, nor a second opinion kept beside."""
    return own is not None and own.role in (Reading.Role.FIRST, Reading.Role.SECOND) and bool(opinion(case))


def visits(case: ReviewCase, *, has_answered: bool) -> QuerySet[EyeImage]:
    """Other photos of the same patient, right eyes first; those that anybody has read only after one's own answer.

    Beside a mirrored photo they are mirrored too (`shown_eye`), or the fellow eye would give it away.
    """
    photos = EyeImage.objects.filter(patient_key=case.image.patient_key).exclude(pk=case.image_id)
    if not case.image.patient_key:
        return photos.none()
    if not has_answered:
        photos = photos.filter(~Exists(Reading.objects.filter(case__image=OuterRef("pk"))))
    other = Case(When(eye="OD", then=Value("OS")), When(eye="OS", then=Value("OD")), default=Value(""))
    with_eye = photos.annotate(shown_eye=other if case.mirrored else F("eye"))
    return with_eye.order_by("shown_eye", "-created_at")
