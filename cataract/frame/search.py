"""The search of the header: patients, photos, cases and releases, by the beginning of what a person types.

What it finds shows no answer, so nothing is disclosed; each kind is found through what its user may see, by an index.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.timesince import timesince

from predictions.answering.models import Prediction
from predictions.photos import search as photos
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from review.cases.models import ReviewCase
from review.cases.permissions import ADJUDICATE, READ, VIEW_CASES, has_any
from review.queue import worklist

MOST = 8  # rows of each kind
_SHORT = re.compile(r"#?([0-9a-f]{6,31})", re.IGNORECASE)
_DIGITS = 32


@dataclass(frozen=True)
class Found:
    """One row: its kind, what it is called, what else is known, and where it opens."""

    kind: str
    title: str
    detail: str
    url: str
    image: UUID | None = None  # a photo that this user may see


def find(words: str, user: User) -> list[Found]:
    """What `user` may see whose key, id or name begins like this; at most MOST of each kind."""
    words = words.strip()
    if not words:
        return []
    return [*_patients(words, user), *_photos(words, user), *_cases(words, user), *_releases(words, user)]


def ids_like(words: str) -> tuple[UUID, UUID] | None:
    """The smallest and the largest id that begins like this: a whole id, or at least six characters of one."""
    if (whole := photos.as_id(words.removeprefix("#"))) is not None:
        return whole, whole
    found = _SHORT.fullmatch(words.replace("-", ""))
    if found is None:
        return None
    digits = found[1]
    return UUID(digits.ljust(_DIGITS, "0")), UUID(digits.ljust(_DIGITS, "f"))


def _patients(words: str, user: User) -> Iterator[Found]:
    keys = EyeImage.objects.visible_to(user).in_use().patients().filter(key__istartswith=words)
    for patient in keys.order_by("key")[:MOST]:
        last = f"last photo {timesince(patient.last_photo_at, depth=1)} ago"  # type: ignore[attr-defined]
        address = reverse("predictions:patient", args=[patient.pk])
        yield Found("Patient", patient.key, f"{patient.site}, {last}", address)


def _photos(words: str, user: User) -> Iterator[Found]:
    if (ids := ids_like(words)) is None:
        return
    seen = Prediction.objects.visible_to(user)
    of_photo = seen.filter(image_id__gte=ids[0], image_id__lte=ids[1])
    for each in _distinct(seen.filter(pk__range=ids)[:MOST], of_photo[:MOST]):
        title = each.image.patient_key or "Photo without a patient key"
        address = reverse("predictions:detail", args=[each.pk])
        yield Found("Photo", title, each.image.get_eye_display(), address, each.image_id)


def _cases(words: str, user: User) -> Iterator[Found]:
    if (ids := ids_like(words)) is None or not has_any(user, READ, ADJUDICATE, VIEW_CASES):
        return
    reads = has_any(user, READ, ADJUDICATE)
    for case in worklist.listed(user).filter(pk__range=ids).order_by("pk")[:MOST]:
        name = "review:case" if reads else "admin:review_reviewcase_change"
        if reads or user.is_staff:
            title = f"Case {str(case.pk)[:8]}"
            state = "resolved" if case.status == ReviewCase.Status.RESOLVED else "open"
            detail = f"{state}, opened {timesince(case.created_at, depth=1)} ago"
            yield Found("Case", title, detail, reverse(name, args=[case.pk]))


def _releases(words: str, user: User) -> Iterator[Found]:
    if not (user.is_staff and user.has_perm("predictions.view_release")):
        return
    for release in Release.objects.filter(pk__startswith=words).order_by("pk")[:MOST]:
        address = reverse("admin:training_releasereview_change", args=[release.pk])
        yield Found("Release", release.pk, release.get_status_display(), address)


def _distinct(*rows: Iterable[Any]) -> list[Any]:
    return list({row.pk: row for each in rows for row in each}.values())
