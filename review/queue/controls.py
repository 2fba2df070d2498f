"""Hidden checks of a reader: photos whose answer is known, and photos that the same reader read before, mirrored.

A check is a ReviewCase without a prediction that only one reader gets. It looks like any other case, its answer makes
no label, and it is planted while that reader claims: the chance is a setting, the draw a hash, so that asking again
never changes it.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from predictions.answering.models import Disclosure
from predictions.photos.models import EyeImage
from review.cases import permissions
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.queue import claims, policy

POLICY_VERSION = "checks-1"
PRIORITY = 30  # what most cases have
KNOWN = (Label.Provenance.ADJUDICATED, Label.Provenance.IMPORTED)


def plant(reader: User) -> ReviewCase | None:
    """Hold a hidden check for this reader when the draw says so and a real case waits; else do nothing."""
    draw = policy.fraction(f"check:{reader.pk}:{_answers(reader)}")
    if draw >= settings.REVIEW_CONTROL_RATE + settings.REVIEW_REPEAT_RATE:
        return None
    if not reader.has_perm(permissions.READ) or not policy.readable(reader).exists():
        return None
    if ReviewCase.objects.filter(only_for=reader, status=ReviewCase.Status.FIRST).exists():
        return None
    case = _control(reader) if draw < settings.REVIEW_CONTROL_RATE else _repeat(reader)
    if case is not None:
        case.save(force_insert=True)
    return case


def _control(reader: User) -> ReviewCase | None:
    """A photo that this reader has never met and whose answer an adjudicator or an import has settled."""
    met = ReviewCase.objects.filter(image=OuterRef("image"))
    labels = Label.objects.standing().filter(
        ~Exists(met.filter(readings__reader=reader)),
        ~Exists(met.filter(status__in=ReviewCase.OPEN)),
        ~Exists(Disclosure.objects.filter(image=OuterRef("image"), user=reader)),
        provenance__in=KNOWN,
        answer__in=["cataract", "normal"],
    )
    label = _any_of(labels.exclude(image__uploaded_by=reader), reader)
    if label is None:
        return None
    return _check(reader, ReviewCase.Kind.CONTROL, label.image, known_answer=label.answer)


def _repeat(reader: User) -> ReviewCase | None:
    """A photo that this reader read blind at least `REVIEW_REPEAT_DAYS` ago and has not been given again since."""
    again = ReviewCase.objects.filter(image=OuterRef("case__image"), only_for=reader)
    long_ago = timezone.now() - timedelta(days=settings.REVIEW_REPEAT_DAYS)
    readings = Reading.objects.filter(
        ~Exists(again),
        reader=reader,
        retracted_at__isnull=True,
        ai_shown_first=False,
        role__in=[Reading.Role.FIRST, Reading.Role.SECOND],
        case__kind=ReviewCase.Kind.CASE,
        case__status=ReviewCase.Status.RESOLVED,
        blind_at__lte=long_ago,
    )
    reading = _any_of(readings, reader)
    if reading is None:
        return None
    known = reading.blind_answer
    return _check(reader, ReviewCase.Kind.REPEAT, reading.case.image, known_answer=known, mirrored=True)


def _any_of(rows: QuerySet[Any], reader: User) -> Any | None:
    """One of these rows, the same at every call until the reader has answered again."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    if not keys:
        return None
    index = int(policy.fraction(f"which:{reader.pk}:{_answers(reader)}") * len(keys))
    return rows.model.objects.get(pk=keys[index])


def _answers(reader: User) -> int:
    return Reading.objects.filter(reader=reader).count()


def _check(
    reader: User, kind: ReviewCase.Kind, image: EyeImage, *, known_answer: str, mirrored: bool = False
) -> ReviewCase:
    case_id = uuid.uuid4()
    return ReviewCase(
        id=case_id,
        kind=kind,
        image=image,
        only_for=reader,
        known_answer=known_answer,
        mirrored=mirrored,
        review_propensity=1.0,
        policy_version=POLICY_VERSION,
        priority=PRIORITY,
        shuffle=int(policy.fraction(f"shuffle:{case_id}") * 2**31),
        claimed_by=reader,
        lease_until=claims.lease_end(),
    )
