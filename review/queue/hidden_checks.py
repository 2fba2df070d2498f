"""Hidden checks of a reader: controls (photos with a known answer) and repeats (photos read before, now mirrored).

A hidden check is a ReviewCase without a prediction that only one reader gets. It looks like any other case and its
answer makes no label. It is created while its reader claims a case. Settings give its probability; the draw is a hash,
so asking again never changes it.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from cataract.ml.labels import CLASSES
from cataract.ml.statistics.draws import fraction
from predictions.answering.models import Disclosure
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import READ
from review.labels.models import Label
from review.queue import claims, policy

POLICY_VERSION = "checks-1"
PRIORITY = 30  # what most cases have
KNOWN = (Label.Provenance.ADJUDICATED, Label.Provenance.IMPORTED)


def claim_if_drawn(reader: User) -> ReviewCase | None:
    """Create a hidden check claimed by this reader if the draw says so; else None.

    None as well while no real case is readable (the check would stand out) or an earlier check is unanswered.
    """
    draw = fraction(f"check:{reader.pk}:{_answers(reader)}")
    if draw >= settings.REVIEW_CONTROL_RATE + settings.REVIEW_REPEAT_RATE:
        return None
    if not reader.has_perm(READ) or not policy.readable(reader).exists():
        return None
    if ReviewCase.objects.filter(only_for=reader, status=ReviewCase.Status.FIRST).exists():
        return None
    case = _control(reader) if draw < settings.REVIEW_CONTROL_RATE else _repeat(reader)
    if case is not None:
        case.save(force_insert=True)
    return case


def _control(reader: User) -> ReviewCase | None:
    """A photo new to this reader whose answer an adjudicator or an import has settled."""
    cases = ReviewCase.objects.filter(image=OuterRef("image"))
    labels = (
        Label.objects.standing()
        .of_photos_in_use()
        .filter(
            ~Exists(cases.filter(readings__reader=reader)),
            ~Exists(cases.filter(status__in=ReviewCase.OPEN)),
            ~Exists(Disclosure.objects.filter(image=OuterRef("image"), user=reader)),
            provenance__in=KNOWN,
            answer__in=CLASSES,
        )
    )
    label = _draw_one(labels.exclude(image__uploaded_by=reader), reader)
    if label is None:
        return None
    return _new_check(reader, ReviewCase.Kind.CONTROL, label.image, known_answer=label.answer)


def _repeat(reader: User) -> ReviewCase | None:
    """A photo this reader read blind at least `REVIEW_REPEAT_DAYS` ago and has not been given again."""
    repeated = ReviewCase.objects.filter(image=OuterRef("case__image"), only_for=reader)
    latest = timezone.now() - timedelta(days=settings.REVIEW_REPEAT_DAYS)
    readings = Reading.objects.standing().filter(
        ~Exists(repeated),
        case__image__status=EyeImage.Status.KEPT,
        reader=reader,
        ai_shown_first=False,
        role__in=[Reading.Role.FIRST, Reading.Role.SECOND],
        case__kind=ReviewCase.Kind.CASE,
        case__image__withdrawn_at__isnull=True,
        case__status=ReviewCase.Status.RESOLVED,
        blind_at__lte=latest,
    )
    reading = _draw_one(readings, reader)
    if reading is None:
        return None
    known = reading.blind_answer
    return _new_check(reader, ReviewCase.Kind.REPEAT, reading.case.image, known_answer=known, mirrored=True)


def _draw_one(rows: QuerySet[Any], reader: User) -> Any | None:
    """One of these rows, the same at every call until the reader has answered again."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    if not keys:
        return None
    index = int(fraction(f"which:{reader.pk}:{_answers(reader)}") * len(keys))
    return rows.model.objects.get(pk=keys[index])


def _answers(reader: User) -> int:
    return Reading.objects.filter(reader=reader).count()


def _new_check(
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
        shuffle=policy.shuffle_of(case_id),
        claimed_by=reader,
        lease_until=claims.lease_end(),
    )
