"""Which cases people read, in which order, and who holds which: the whole policy of the queue in one file.

Change a rule, change `POLICY_VERSION`: it is stored with every case, so each can be explained later.
"""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from predictions.models import Disclosure, EyeImage, Prediction
from review import diversity
from review.models import Answer, Reading, ReviewCase, ShownFirst, Skip

POLICY_VERSION = "review-3"
READ = "review.read_reviewcase"
ADJUDICATE = "review.adjudicate_reviewcase"

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
AHEAD = 2  # cases kept for a reader beside the one that is read, so that the next photo is there at once
AHEAD_LEASE = timedelta(minutes=3)
LEAVING = timedelta(seconds=20)  # a page that is left keeps its case this long, so that a reload keeps it too
LATE = timedelta(minutes=10)  # so long after a case was closed the answer of one who was reading it is still kept
SAME = {
    "cataract": {Answer.CATARACT},
    "normal": {Answer.NORMAL},
    # The AI has one word for all that it cannot judge, people have three.
    "ungradable": {Answer.UNGRADABLE, Answer.OTHER, Answer.NOT_AN_EYE},
}
Person = User | AbstractBaseUser | AnonymousUser


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


def is_free() -> Q:
    """Cases that nobody holds now."""
    return Q(lease_until__isnull=True) | Q(lease_until__lte=timezone.now())


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


# Holding a case -------------------------------------------------------------------------------------------------------
def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.REVIEW_LEASE_SECONDS)


def held_by(person: Person) -> QuerySet[ReviewCase]:
    """Open cases on which this person's lease runs."""
    return ReviewCase.objects.filter(
        claimed_by_id=person.pk, lease_until__gt=timezone.now(), status__in=ReviewCase.OPEN
    )


def claim(case: ReviewCase, person: User, *, until: datetime | None = None) -> bool:
    """Take a free case in the status in which it was seen. One UPDATE on the row's own columns: exactly one wins.

    (A condition that joins other tables becomes a sub-select, which PostgreSQL does not re-check after waiting.)
    """
    free = ReviewCase.objects.filter(is_free() | Q(claimed_by=person), pk=case.pk, status=case.status)
    return _hold_until(free, case, person, until or lease_end())


def _hold_until(rows: QuerySet[ReviewCase], case: ReviewCase, person: Person, until: datetime) -> bool:
    if not rows.update(claimed_by=person, lease_until=until):
        return False
    case.claimed_by_id, case.lease_until = person.pk, until
    return True


def claim_held(person: User) -> ReviewCase | None:
    """The case that this person holds longest from now, renewed; None when this person holds none."""
    mine = held_by(person).select_related("image", "prediction").order_by("-lease_until").first()
    return mine if mine is not None and renew(mine, person) else None


def claim_free(person: User, *, until: datetime | None = None) -> ReviewCase | None:
    """The next free case, now held; None when nothing is free for this person."""
    waiting = offered(person).filter(is_free()).select_related("image", "prediction")
    while candidates := list(in_order(waiting, person)[:16]):
        for case in diversity.spread(candidates, person.pk):
            if claim(case, person, until=until):
                return case
    return None


def claim_ahead(person: User, besides: ReviewCase) -> list[ReviewCase]:
    """Keep the next `AHEAD` cases for this person by short leases, renewed at each call; returns those kept.

    They are leases like any other, so no two people hold one case; they end by themselves when the page is gone.
    """
    until = timezone.now() + AHEAD_LEASE
    held = held_by(person).exclude(pk=besides.pk).exclude(readings__reader=person)
    soonest = held.select_related("image", "prediction").order_by("-lease_until")
    kept = [case for case in list(soonest) if _hold_until(held_by(person).filter(pk=case.pk), case, person, until)]
    while len(kept) < AHEAD and (case := claim_free(person, until=until - timedelta(seconds=len(kept) + 1))):
        kept.append(case)
    return kept


def renew(case: ReviewCase, person: Person) -> bool:
    """Extend this person's running lease; False when it has ended."""
    return _hold_until(held_by(person).filter(pk=case.pk, status=case.status), case, person, lease_end())


def hold_on(case_id: UUID, person: Person) -> bool:
    """Hold a case that was kept ahead for as long as any other; False when its lease has ended. One UPDATE."""
    return bool(held_by(person).filter(pk=case_id).update(lease_until=lease_end()))


def release(case: ReviewCase, person: Person) -> bool:
    """Give a held case back at once."""
    return bool(held_by(person).filter(pk=case.pk).update(claimed_by=None, lease_until=None))


def leave(case: ReviewCase, person: Person) -> bool:
    """Let the leases of this person end soon, because the page of `case` was closed (or is being reloaded)."""
    now = timezone.now()
    if not held_by(person).filter(pk=case.pk).exists():
        return False
    kept_ahead = Q(lease_until__lte=now + AHEAD_LEASE)  # a case that is open in another tab has a longer lease
    return bool(held_by(person).filter(Q(pk=case.pk) | kept_ahead).update(lease_until=now + LEAVING))


def free_expired() -> int:
    """Clear the leases that have ended. Claims do not need it; lists read better with it."""
    ended = ReviewCase.objects.filter(lease_until__lte=timezone.now())
    return ended.update(claimed_by=None, lease_until=None)


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
    photos = photos.annotate(shown_eye=other if case.mirrored else F("eye"))
    return photos.order_by("shown_eye", "-created_at")
