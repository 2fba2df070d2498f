"""What a user may do with a case now, and what that user may see of it."""

from enum import StrEnum

from django.contrib.auth.models import User
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When

from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import ADJUDICATE
from review.queue.claims import claimed_by
from review.queue.policy import ai_decision
from review.reading import slips


class Screen(StrEnum):
    """The screens of a case; each user sees exactly one of them."""

    BLIND = "blind"  # claimed: answer before the AI's answer is shown
    HELD = "held"  # answered a moment ago: the AI's answer comes next, and undoing is a slip
    REVEAL = "reveal"  # the AI differs: keep or change the answer
    ADJUDICATE = "adjudicate"  # claimed: decide between two readers
    FINISHED = "finished"  # answered
    CLOSED = "closed"  # not claimed by this user


class Step(StrEnum):
    """The questions that a screen asks; an answer names the one it answers."""

    BLIND = "blind"
    FINAL = "final"
    ADJUDICATE = "adjudicate"


ANSWERED = (Screen.REVEAL, Screen.FINISHED)
STEP_OF_SCREEN = {Screen.BLIND: Step.BLIND, Screen.REVEAL: Step.FINAL, Screen.ADJUDICATE: Step.ADJUDICATE}


def screen_for(case: ReviewCase, user: User, *, just_claimed: bool = False) -> Screen:
    """The screen of this case for this user. `just_claimed`: the lease need not be checked."""
    reading = own_reading(case, user)
    if reading is not None:
        return Screen.FINISHED if reading.final_answer else Screen.REVEAL
    if not just_claimed and not claimed_by(user).filter(pk=case.pk).exists():
        return Screen.CLOSED
    return Screen.ADJUDICATE if case.status == ReviewCase.Status.ADJUDICATION else Screen.BLIND


def own_reading(case: ReviewCase, user: User) -> Reading | None:
    """This user's standing reading of a case."""
    return Reading.objects.standing().filter(case=case, reader=user).first()


def readings_to_adjudicate(case: ReviewCase) -> QuerySet[Reading]:
    """The two readings that differ, in an order that does not say who read first."""
    return case.readings.standing().exclude(role=Reading.Role.EXTRA).order_by("pk")


def may_see_photo(case: ReviewCase, user: User) -> bool:
    """Whether this user has claimed or read the case, adjudicates, or may see every photo."""
    return (
        claimed_by(user).filter(pk=case.pk).exists()
        or Reading.objects.filter(case=case, reader=user).exists()
        or user.has_perm("predictions.view_every_eyeimage")
        or user.has_perm(ADJUDICATE)
    )


def may_see_ai(case: ReviewCase, reading: Reading | None) -> bool:
    """Whether the author of this standing reading may see the AI's answer.

    Adjudicators and authors of an EXTRA reading may not: both must stay blind to it. Nor may anybody while undoing the
    answer still counts as a slip.
    """
    if reading is None or slips.is_fresh(reading):
        return False
    return reading.role in (Reading.Role.FIRST, Reading.Role.SECOND) and bool(ai_decision(case))


def other_photos(case: ReviewCase, *, has_answered: bool) -> QuerySet[EyeImage]:
    """Other photos of the same patient, right eyes first. Photos that have been read come only after one's own answer.

    Each photo carries `shown_eye`. Beside a mirrored case they are mirrored too, or the fellow eye would reveal it.
    """
    if case.image.patient_id is None:
        return EyeImage.objects.none()
    photos = EyeImage.objects.kept().filter(patient=case.image.patient_id).exclude(pk=case.image_id)
    if not has_answered:
        photos = photos.filter(~Exists(Reading.objects.filter(case__image=OuterRef("pk"))))
    right, left = EyeImage.Eye.OD.value, EyeImage.Eye.OS.value
    mirrored = Case(When(eye=right, then=Value(left)), When(eye=left, then=Value(right)), default=Value(""))
    with_eye = photos.annotate(shown_eye=mirrored if case.mirrored else F("eye"))
    return with_eye.order_by("shown_eye", "-created_at")
