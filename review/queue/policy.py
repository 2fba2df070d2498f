"""The rules of the queue: who may read which case, in which order, and when a second reader is needed.

Change `POLICY_VERSION` with every rule: each case stores it, so its treatment can be explained later.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import (
    BooleanField,
    Case,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    When,
)
from django.utils import timezone

from cataract.ml.labels import Reason
from cataract.ml.statistics.draws import fraction
from predictions.answering.answers import contradicts
from predictions.answering.models import Disclosure, Prediction
from predictions.photos.models import EyeImage
from predictions.stops.models import AiStop
from review.cases.models import Reading, ReviewCase, ShownFirst, Skip
from review.cases.permissions import ADJUDICATE, READ
from review.pauses.rules import may_read

POLICY_VERSION = "review-7"

# Lower is sooner. Without an answer of the AI a patient waits for a reader; a random sample can wait longest.
BAND_OF_REASON: dict[str, int] = {
    Reason.NO_CHAMPION: 10,
    Reason.AI_OFF: 10,
    Reason.FAILED: 10,
    Reason.INVALID_SCORE: 10,
    Reason.REQUESTED: 10,
    Reason.LOOK_BACK: 20,
    Reason.OTHER_FINDING: 20,  # a red eye may need a doctor sooner than a cataract
    Reason.ALWAYS_READ: 20,  # one band whatever the AI said: what has been read so far is a fair part of the stream
    Reason.DISAGREEMENT: 20,
    Reason.UNCERTAIN: 30,
    Reason.NOT_ACCEPTED: 30,
    Reason.OUT_OF_DISTRIBUTION: 30,
    Reason.QUALITY: 40,
    Reason.NO_COLOUR: 40,
    Reason.UNGRADABLE: 40,
    Reason.SUSPECTED_LABEL: 40,
    Reason.AUDIT_SAMPLE: 50,
}
FIRST_BAND, LAST_BAND = 0, 50
PATIENT_WAITS_FOR = timedelta(hours=1)  # after an upload from the page the patient may still be in the clinic


def overdue_after() -> timedelta:
    """The agreed time to an answer. A case older than that comes before every band, and to every reader."""
    return timedelta(hours=settings.REVIEW_AGREED_HOURS)


# Priority -------------------------------------------------------------------------------------------------------------
def priority_of(reasons: list[str]) -> int:
    """The most urgent band among these reasons."""
    return min((BAND_OF_REASON.get(reason, LAST_BAND) for reason in reasons), default=LAST_BAND)


def shuffle_of(key: object) -> int:
    """The stored place of a case inside its band: a hash, so never a score."""
    return int(fraction(f"shuffle:{key}") * 2**31)


# Readings and the AI --------------------------------------------------------------------------------------------------
def ai_decision(case: ReviewCase) -> str:
    """The AI's decision on a case, or "" if it has none, or if the AI is switched off at the site of the photo now."""
    prediction = case.prediction
    if prediction is None or prediction.status != Prediction.Status.DONE or not prediction.decision:
        return ""
    known = vars(case)  # asked for often while a request answers one case
    if "is_ai_off" not in known:
        known["is_ai_off"] = AiStop.objects.at(case.image.site_id).exists()
    return "" if known["is_ai_off"] else prediction.decision


def contradicts_ai(case: ReviewCase, answer: str) -> bool:
    """Whether a reader's answer contradicts the AI's; without a decision of the AI it never does."""
    prediction = case.prediction
    return prediction is not None and contradicts(answer, ai_decision(case), prediction.reasons)


def is_read_twice_by_chance(case_id: object) -> bool:
    """Whether a case is in the random share that two readers read. The draw is a hash, so it never changes."""
    rate: float = settings.REVIEW_SECOND_READ_RATE
    return fraction(f"second:{case_id}") < rate


def needs_second_reader(case: ReviewCase, first: Reading) -> bool:
    """Whether a finished first reading calls for a second, blind reader."""
    is_doubtful = first.unsure or first.pace == Reading.Pace.TOO_FAST
    return is_doubtful or is_read_twice_by_chance(case.pk) or contradicts_ai(case, first.final_answer)


def shows_ai_first(case: ReviewCase, reader: User) -> bool:
    """Whether this first reader sees the AI's answer before reading: a small random share, drawn by hash.

    The comparison with blind readings measures the AI's influence. Such readings are marked and never train; photos
    that are always read are read blind.
    """
    is_drawn = fraction(f"ai-first:{case.pk}:{reader.pk}") < settings.REVIEW_AI_FIRST_RATE
    is_first = is_drawn and case.status == ReviewCase.Status.FIRST and bool(ai_decision(case))
    return is_first and not case.image.always_read


# Who may read which case ----------------------------------------------------------------------------------------------
def knows_answer(user: User) -> Q:
    """Cases this user cannot read blind: the user saw an answer, uploaded the photo or requested the answer.

    Any photo of the same eye counts, and so do copies of it, under whatever patient.
    """
    shown = Disclosure.objects.filter(image=OuterRef("pk"), user_id=user.pk)
    asked = Prediction.objects.filter(image=OuterRef("pk"), requested_by_id=user.pk)
    return Q(Exists(_same_eye().filter(Q(uploaded_by_id=user.pk) | Exists(shown) | Exists(asked))))


def _same_eye() -> QuerySet[EyeImage]:
    """The photos that show the eye of the case in the outer query."""
    return EyeImage.objects.same_eye_as(
        cluster=OuterRef("image__cluster"), patient=OuterRef("image__patient"), eye=OuterRef("image__eye")
    )


def has_seen(case: ReviewCase, user: User) -> bool:
    """Whether this user knows an answer on this case, the AI's or another reader's."""
    return ReviewCase.objects.filter(knows_answer(user), pk=case.pk).exists()


def readable(user: User) -> QuerySet[ReviewCase]:
    """Open cases this user may read next, claimed or not."""
    readings = Reading.objects.standing().filter(case=OuterRef("pk"))
    allowed = Q(pk__in=[])
    if user.has_perm(READ):
        unread = ~Q(Exists(readings.filter(role=OuterRef("status"))))
        # A reader who undid an answer has seen the AI's. The case stays theirs, but the new answer will not train.
        undone = Exists(Reading.objects.filter(case=OuterRef("pk"), reader=user, retracted_at__isnull=False))
        shown_first = Exists(ShownFirst.objects.filter(case=OuterRef("pk"), reader=user))
        status = Q(status__in=[ReviewCase.Status.FIRST, ReviewCase.Status.SECOND])
        blind = Q(kind=ReviewCase.Kind.CASE) & (~knows_answer(user) | Q(undone) | Q(shown_first))
        allowed |= status & unread & (blind | Q(only_for=user)) & may_read(user)
        if not user.has_perm(ADJUDICATE):
            allowed &= Q(escalated_at__isnull=True)
    if user.has_perm(ADJUDICATE):
        allowed |= Q(status=ReviewCase.Status.ADJUDICATION)
    own = Reading.objects.filter(case=OuterRef("pk"), reader=user)
    has_read = Exists(own.filter(Q(retracted_at__isnull=True) | Q(taken_back_by__isnull=False)))
    return ReviewCase.objects.of_photos_in_use().filter(allowed, ~is_replaced(), ~has_read)


def offered(user: User) -> QuerySet[ReviewCase]:
    """Cases the queue offers this user: the readable ones, except those assigned to others and not overdue."""
    return readable(user).filter(not_for_another(user))


def not_for_another(user: User) -> Q:
    """Cases that are assigned to nobody or to this user, and overdue ones."""
    overdue = Q(created_at__lt=timezone.now() - overdue_after())
    return Q(assigned_to__isnull=True) | Q(assigned_to=user) | overdue


def is_beside_claimed(user: User) -> Q:
    """Cases of an eye of which this user has claimed another photo: answering that one shows what the AI said of it."""
    running = ReviewCase.objects.filter(claimed_by=user, lease_until__gt=timezone.now(), status__in=ReviewCase.OPEN)
    others = running.filter(kind=ReviewCase.Kind.CASE).exclude(pk=OuterRef(OuterRef("pk")))
    return Q(Exists(_same_eye().filter(Exists(others.filter(image=OuterRef("pk"))))))


def is_replaced() -> Q:
    """Open cases that are no longer needed: a retake of the photo can be judged, and nobody has answered here yet.

    A case that a person asked for after the retake is read all the same.
    """
    answered = Reading.objects.filter(case=OuterRef("pk"))
    replaced = Q(prediction__replaced_at__gte=F("created_at")) & ~Q(Exists(answered))
    return replaced & Q(kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN)


# Order ----------------------------------------------------------------------------------------------------------------
def in_order(cases: QuerySet[ReviewCase], user: User) -> QuerySet[ReviewCase]:
    """Assigned and overdue cases, then waiting patients, then bands by reason; skipped cases last.

    Inside a band each user has a different, constant order: twenty readers do not reach for the same case at once, and
    no case is always read last.
    """
    now = timezone.now()
    new_from_page = EyeImage.objects.filter(source=EyeImage.Source.UPLOAD, created_at__gte=now - PATIENT_WAITS_FOR)
    patient_waits = Q(
        image__in=new_from_page.values("pk"),
        status=ReviewCase.Status.FIRST,
        priority__lt=LAST_BAND,  # a random check of a sure answer keeps no patient waiting
    )
    band = Case(
        When(Q(assigned_to=user) | Q(created_at__lt=now - overdue_after()), then=FIRST_BAND),
        When(patient_waits, then=F("priority") / 10),
        default=F("priority"),
        output_field=IntegerField(),
    )
    skipped = ExpressionWrapper(Q(pk__in=Skip.objects.filter(reader=user).values("case")), BooleanField())
    place = F("shuffle").bitxor(order_mask(user))
    return cases.annotate(skipped=skipped, band=band, place=place).order_by("skipped", "band", "place", "pk")


def order_mask(user: User) -> int:
    """XOR mask that turns the stored shuffle of a band into this user's own order."""
    return int(fraction(f"order:{user.pk}") * 2**31)
