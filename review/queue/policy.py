"""Which cases people read, in which order, and who holds which: the whole policy of the queue in one file.

Change a rule, change `POLICY_VERSION`: it is stored with every case, so each can be explained later.
"""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, When
from django.utils import timezone

from predictions.answering.models import Disclosure, Prediction
from predictions.photos.models import EyeImage
from review.cases.answers import Answer
from review.cases.models import Reading, ReviewCase, ShownFirst, Skip
from review.cases.permissions import ADJUDICATE, READ, Person

POLICY_VERSION = "review-3"

SUSPECTED = "suspected_label"  # the reason of a case about a label in doubt: it says nothing of the AI in service
# Lower is sooner. Where the AI gave no answer a patient waits for a person; a random sample can wait longest.
BAND_OF_REASON = {
    "no_champion": 10,
    "failed": 10,
    "requested": 10,
    "disagreement": 20,
    "uncertain": 30,
    "out_of_distribution": 30,
    "quality": 40,
    "ungradable": 40,
    SUSPECTED: 40,
    "audit_sample": 50,
}
FIRST_BAND, LAST_BAND = 0, 50
STARVING = timedelta(hours=24)  # after this a case comes before every band, and to everybody
WAITING = timedelta(hours=1)  # so long after an upload from the page the patient may still be there
LATE = timedelta(minutes=10)  # so long after a case was closed the answer of one who was reading it is still kept
SAME = {
    "cataract": {Answer.CATARACT},
    "normal": {Answer.NORMAL},
    # The AI has one word for all that it cannot judge, people have three.
    "ungradable": {Answer.UNGRADABLE, Answer.OTHER, Answer.NOT_AN_EYE},
}


def fraction(key: str) -> float:
    """A number in [0, 1) that looks random and is always the same for this key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


# Which predictions become cases ---------------------------------------------------------------------------------------
def open_cases(limit: int = 1000) -> int:
    """Open a case for every prediction that should be looked at and has none. Safe to run twice; returns how many."""
    waiting = Prediction.objects.filter(
        Q(status=Prediction.Status.DONE, needs_review=True) | Q(status=Prediction.Status.FAILED),
        review_case__isnull=True,
    ).order_by("created_at")[:limit]
    cases = [new_case(prediction) for prediction in waiting]
    ReviewCase.objects.bulk_create(cases, ignore_conflicts=True)
    return len(cases)


def new_case(prediction: Prediction, *, reasons: list[str] | None = None) -> ReviewCase:
    """The unsaved case of one prediction. A FAILED prediction, or one asked for by hand, is chosen with certainty."""
    if reasons is None:
        reasons = list(prediction.reasons) if prediction.status == Prediction.Status.DONE else ["failed"]
    return ReviewCase(
        prediction=prediction,
        image_id=prediction.image_id,
        reasons=reasons,
        review_propensity=prediction.review_propensity or 1.0,
        policy_version=POLICY_VERSION,
        priority=min((BAND_OF_REASON.get(reason, LAST_BAND) for reason in reasons), default=LAST_BAND),
        shuffle=int(fraction(f"shuffle:{prediction.pk}") * 2**31),
    )


# Who reads what -------------------------------------------------------------------------------------------------------
def opinion(case: ReviewCase) -> str:
    """The AI's decision on a case, or "" where it has none."""
    prediction = case.prediction
    if prediction is None or prediction.status != Prediction.Status.DONE:
        return ""
    return prediction.decision


def contradicts(answer: str, decision: str) -> bool:
    """Whether a person's answer contradicts the AI's decision; where it has none there is nothing to contradict."""
    return bool(decision) and answer not in SAME[decision]


def wants_second(case: ReviewCase, first: Reading) -> bool:
    """Whether a finished first reading asks for a second, blind reader. The random share is the same at every retry."""
    by_chance = fraction(f"second:{case.pk}") < settings.REVIEW_SECOND_READ_RATE
    return first.unsure or by_chance or contradicts(first.final_answer, opinion(case))


def shows_ai_first(case: ReviewCase, person: Person) -> bool:
    """Whether this first reader sees the AI's answer before reading: a small random share, the same at every look.

    Compared with blind readings it tells how far the AI leads people. Such readings are marked and never train.
    """
    chosen = fraction(f"ai-first:{case.pk}:{person.pk}") < settings.REVIEW_AI_FIRST_RATE
    return chosen and case.status == ReviewCase.Status.FIRST and bool(opinion(case))


def knows_answer(person: Person) -> Q:
    """Cases on which this person is no blind reader: shown the AI's answer, sent the photo, or asked for the answer."""
    shown = Disclosure.objects.filter(image=OuterRef("image_id"), user_id=person.pk or 0)
    return Q(Exists(shown)) | Q(image__uploaded_by_id=person.pk) | Q(prediction__requested_by_id=person.pk)


def has_seen(case: ReviewCase, person: Person) -> bool:
    """Whether this person knows the AI's answer on this case."""
    return ReviewCase.objects.filter(knows_answer(person), pk=case.pk).exists()


def readable(person: User) -> QuerySet[ReviewCase]:
    """Open cases that this person may read next, whoever holds them now."""
    standing = Reading.objects.filter(case=OuterRef("pk"), retracted_at__isnull=True)
    allowed = Q(pk__in=[])
    if person.has_perm(READ):
        unread = ~Q(Exists(standing.filter(role=OuterRef("status"))))
        # Whoever undid an answer has seen the AI's; the case is still theirs, and the new answer will not train.
        undone = Exists(Reading.objects.filter(case=OuterRef("pk"), reader=person, retracted_at__isnull=False))
        shown_first = Exists(ShownFirst.objects.filter(case=OuterRef("pk"), reader=person))
        status = Q(status__in=[ReviewCase.Status.FIRST, ReviewCase.Status.SECOND])
        blind = Q(kind=ReviewCase.Kind.CASE) & (~knows_answer(person) | Q(undone) | Q(shown_first))
        allowed |= status & unread & (blind | Q(only_for=person))
    if person.has_perm(ADJUDICATE):
        allowed |= Q(status=ReviewCase.Status.ADJUDICATION)
    return ReviewCase.objects.filter(allowed, ~Exists(standing.filter(reader=person)))


def offered(person: User) -> QuerySet[ReviewCase]:
    """What the queue gives this person: all that is readable, less what was assigned to others and is not starving."""
    starving = Q(created_at__lt=timezone.now() - STARVING)
    return readable(person).filter(Q(assigned_to__isnull=True) | Q(assigned_to=person) | starving)


def in_order(cases: QuerySet[ReviewCase], person: User) -> QuerySet[ReviewCase]:
    """Assigned and starving cases, waiting patients, bands by reason; skipped ones last.

    Inside a band each person has an own, constant order, so that twenty readers do not reach for the same case at once
    and no case is always read last.
    """
    now = timezone.now()
    patient_waits = Q(
        image__source=EyeImage.Source.UPLOAD,
        image__created_at__gte=now - WAITING,
        status=ReviewCase.Status.FIRST,
        priority__lt=LAST_BAND,  # a random check of a sure answer keeps no patient waiting
    )
    band = Case(
        When(Q(assigned_to=person) | Q(created_at__lt=now - STARVING), then=FIRST_BAND),
        When(patient_waits, then=F("priority") / 10),
        default=F("priority"),
        output_field=IntegerField(),
    )
    skipped = Exists(Skip.objects.filter(case=OuterRef("pk"), reader=person))
    place = F("shuffle").bitxor(shuffle_of(person))
    return cases.annotate(skipped=skipped, band=band, place=place).order_by("skipped", "band", "place", "pk")


def shuffle_of(person: Person) -> int:
    """What turns the stored order of a band into this person's own."""
    return int(fraction(f"order:{person.pk}") * 2**31)
