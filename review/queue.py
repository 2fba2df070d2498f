"""Which cases people read, in which order, and who holds which: the whole policy of the queue in one file.

Change a rule, change `POLICY_VERSION`: it is stored with every case, so each can be explained later.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Case, Count, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, When
from django.utils import timezone

from predictions.models import Disclosure, Prediction
from review.models import Answer, Reading, ReviewCase, ShownFirst, Skip

POLICY_VERSION = "review-1"
READ = "review.read_reviewcase"
ADJUDICATE = "review.adjudicate_reviewcase"

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
    "audit_sample": 50,
}
FIRST_BAND, LAST_BAND = 0, 50
STARVING = timedelta(hours=24)  # after this a case comes before every band
LEAVING = timedelta(seconds=20)  # a page that is left keeps its case this long, so that a reload keeps it too
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


def _free() -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lte=timezone.now())


def in_order(cases: QuerySet[ReviewCase], person: User) -> QuerySet[ReviewCase]:
    """Bands by reason, the long waiting before all, shuffled inside a band, what this person skipped last."""
    band = Case(
        When(created_at__lt=timezone.now() - STARVING, then=FIRST_BAND),
        default=F("priority"),
        output_field=IntegerField(),
    )
    skipped = Exists(Skip.objects.filter(case=OuterRef("pk"), reader=person))
    return cases.annotate(skipped=skipped, band=band).order_by("skipped", "band", "shuffle", "pk")


# Holding a case -------------------------------------------------------------------------------------------------------
def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.REVIEW_LEASE_SECONDS)


def held_by(person: Person) -> QuerySet[ReviewCase]:
    """Open cases on which this person's lease runs."""
    return ReviewCase.objects.filter(
        claimed_by_id=person.pk, lease_until__gt=timezone.now(), status__in=ReviewCase.OPEN
    )


def claim(case: ReviewCase, person: User) -> bool:
    """Take a free case in the status in which it was seen. One UPDATE on the row's own columns: exactly one wins.

    (A condition that joins other tables becomes a sub-select, which PostgreSQL does not re-check after waiting.)
    """
    free = ReviewCase.objects.filter(_free() | Q(claimed_by=person), pk=case.pk, status=case.status)
    return bool(free.update(claimed_by=person, lease_until=lease_end()))


def claim_next(person: User) -> ReviewCase | None:
    """The case that this person holds, else the next free one, now held; None when nothing is free for them."""
    mine = held_by(person).order_by("lease_until").first()
    if mine is not None and renew(mine, person):
        return mine
    while candidates := list(in_order(readable(person).filter(_free()), person)[:16]):
        for case in candidates:
            if claim(case, person):
                case.refresh_from_db()
                return case
    return None


def renew(case: ReviewCase, person: Person) -> bool:
    """Extend this person's running lease; False when it has ended."""
    return bool(held_by(person).filter(pk=case.pk).update(lease_until=lease_end()))


def release(case: ReviewCase, person: Person) -> bool:
    """Give a held case back at once."""
    return bool(held_by(person).filter(pk=case.pk).update(claimed_by=None, lease_until=None))


def leave(case: ReviewCase, person: Person) -> bool:
    """Let the lease end soon, because the page was closed (or is being reloaded)."""
    return bool(held_by(person).filter(pk=case.pk).update(lease_until=timezone.now() + LEAVING))


def free_expired() -> int:
    """Clear the leases that have ended. Claims do not need it; lists read better with it."""
    ended = ReviewCase.objects.filter(lease_until__lte=timezone.now())
    return ended.update(claimed_by=None, lease_until=None)


def own_reading(case: ReviewCase, person: Person) -> Reading | None:
    """This person's standing answer to a case."""
    return Reading.objects.filter(case=case, reader_id=person.pk, retracted_at__isnull=True).first()


def step(case: ReviewCase, person: Person) -> str:
    """What this person may do with a case now: blind, reveal, adjudicate, finished or closed."""
    own = own_reading(case, person)
    if own is not None:
        return "finished" if own.final_answer else "reveal"
    if not held_by(person).filter(pk=case.pk).exists():
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


# What the pages say ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Counts:
    """How the queue stands for one person."""

    ready: int  # free for this person now
    held: int  # readable by this person, but held by others
    held_until: datetime | None
    mine: int  # held by this person
    for_others: int  # open, but this person has read them or knows the AI's answer
    done_today: int

    @property
    def waiting(self) -> int:
        return self.ready + self.mine


def counts(person: User) -> Counts:
    """How the queue stands for one person, in four queries."""
    now = timezone.now()
    others = Q(lease_until__gt=now) & ~Q(claimed_by=person)
    mine = Q(lease_until__gt=now, claimed_by=person)
    row = readable(person).aggregate(
        ready=Count("pk", filter=_free()),
        held=Count("pk", filter=others),
        until=Max("lease_until", filter=others),
        mine=Count("pk", filter=mine),
    )
    total = ReviewCase.objects.filter(status__in=ReviewCase.OPEN).count()
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    done = Reading.objects.filter(reader=person, retracted_at__isnull=True, final_at__gte=today).count()
    mine_now = held_by(person).count()
    for_others = max(0, total - row["ready"] - row["held"] - mine_now)
    return Counts(row["ready"], row["held"], row["until"], mine_now, for_others, done)
