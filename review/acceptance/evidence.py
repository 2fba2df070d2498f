"""The labelled photos of a site, against what a release would have answered alone on them: an unbiased sample.

- One photo for each cluster (a patient, with near-copies): its first.
- Only photos that were chosen before anybody knew the answer: everything while no answer is accepted, the stream that
  is always read, and the random checks, each with 1 / (the probability with which it was chosen) as its weight. A photo
  that was asked for later counts for nothing.
- In the order in which they came, up to the first that still waits for its reader: which case is read first depends on
  the AI's doubts, and must not decide what counts.
- Photos on which the release may have learned do not count: those stored before it, unless their split is `test`.
- The truth is what people agreed on blind, or what an eye doctor found. Where a reader answered otherwise before seeing
  the AI, the answer counts as an error until a second, blind reading has settled it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cataract.ml.labels import CATARACT, CLASSES, NORMAL, is_sure
from cataract.ml.statistics.sequential import Unit
from predictions.acceptance import rules
from predictions.answering.answers import Answer
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage, Split
from predictions.releases.models import Release
from predictions.sites.models import Site
from review.acceptance.models import Rescore
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label

_BLIND = (Label.Provenance.BLIND, Label.Provenance.ADJUDICATED, Label.Provenance.OUTCOME)


class Photo(NamedTuple):
    """One photo that counts.

    answer: "cataract" or "normal" where the release would have decided alone, else empty. truths: what people say; more
    than one while it is not settled. weight: 1 / the probability with which it was chosen to be read.
    """

    at: datetime
    device: int | None
    answer: str
    truths: frozenset[str]
    weight: float


@dataclass
class Evidence:
    """The photos of a site that count for a release, how many wait, and what a worker has to do first."""

    photos: list[Photo] = field(default_factory=list)
    waiting: int = 0
    to_score: list[UUID] = field(default_factory=list)
    to_settle: list[UUID] = field(default_factory=list)


def units(photos: Iterable[Photo], side: str) -> list[Unit]:
    """The photos on which a side can be right or wrong, in order.

    normal: eyes with a cataract; an error left as "normal" alone. cataract: automatic "cataract" answers; an error is
    anything but a cataract.
    """
    found, heaviest = [], 1.0
    for photo in photos:
        can_err = photo.answer == side
        if can_err:
            heaviest = max(heaviest, photo.weight)
        if side == NORMAL:
            is_error = can_err and CATARACT in photo.truths
            counts = is_error or photo.truths == {CATARACT}
        else:
            is_error = photo.truths != {CATARACT}
            counts = can_err and bool(photo.truths)
        if counts:
            found.append(Unit(is_error, photo.weight, heaviest))
    return found


def gather(site: Site, release: Release) -> Evidence:
    """The evidence of one site for one release: five queries."""
    predictions = _predictions(site, release)
    firsts: dict[UUID, dict[str, Any]] = {}
    own: dict[UUID, str] = {}
    for row in predictions:
        firsts.setdefault(row["image_id"], row)
        if row["release_id"] == release.pk and row["mode"] == Prediction.Mode.CASCADE:
            own.setdefault(row["image_id"], _alone(row))
    chosen = [row for row in firsts.values() if row["needs_review"] or row["status"] == Prediction.Status.FAILED]
    scores = {row.image_id: row for row in Rescore.objects.filter(release=release, image__site=site)}
    return _in_order(chosen, _Truths(site), own, scores)


def _predictions(site: Site, release: Release) -> list[dict[str, Any]]:
    """The finished predictions of the first photo of each cluster on which `release` has not learned, oldest first.

    Only of photos of which at least one prediction asks for a person.
    """
    same = EyeImage.objects.filter(cluster=OuterRef("image__cluster"))
    earlier = Q(created_at__lt=OuterRef("image__created_at")) | Q(
        created_at=OuterRef("image__created_at"), pk__lt=OuterRef("image_id")
    )
    unseen = Q(image__created_at__gte=release.created_at) | Q(image__split=Split.TEST, image__cluster__split=Split.TEST)
    rows = Prediction.objects.filter(unseen, ~Exists(same.filter(earlier)), image__site=site)
    asked = Q(needs_review=True) | Q(status=Prediction.Status.FAILED)  # no other photo is chosen
    rows = rows.filter(Exists(Prediction.objects.filter(asked, image=OuterRef("image"))))
    rows = rows.filter(image__withdrawn_at__isnull=True).exclude(status=Prediction.Status.QUEUED)
    names = (
        "pk", "image_id", "image__created_at", "image__device_id", "status", "mode", "release_id", "decision",
        "needs_review", "reasons", "review_propensity", "created_at",
    )  # fmt: skip
    return list(rows.order_by("image__created_at", "image_id", "created_at", "pk").values(*names))


def _alone(row: dict[str, Any]) -> str:
    """What a stored prediction answered alone, or would have answered but for the rules of the site."""
    sure = row["decision"] in CLASSES and is_sure(row["needs_review"], row["reasons"])
    return str(row["decision"]) if sure else ""


def _in_order(
    chosen: Sequence[dict[str, Any]], truths: "_Truths", own: dict[UUID, str], scores: dict[UUID, Rescore]
) -> Evidence:
    found, given_up = Evidence(), timezone.now() - rules.WAITS_FOR
    for row in chosen:
        image, score = row["image_id"], scores.get(row["image_id"])
        if truths.is_closed_unread(image) or (image not in own and score is not None and score.error):
            continue
        answer = own.get(image) if image in own else None if score is None else score.answer
        said = truths.of(image, answer or "")
        if answer is None and said is not None:
            found.to_score.append(image)
        if said is None or answer is None:
            found.waiting += row["created_at"] > given_up or said is not None
        elif not found.waiting and said:
            weight = 1 / (row["review_propensity"] or 1.0)
            found.photos.append(Photo(row["image__created_at"], row["image__device_id"], answer, said, weight))
            if answer and len(said) > 1 and (label := truths.unsettled(image)) is not None:
                found.to_settle.append(label)
    return found


class _Truths:
    """What people say of the photos of a site."""

    def __init__(self, site: Site) -> None:
        self._labels = {row.image_id: row for row in Label.objects.best().filter(image__site=site)}
        self._cases: dict[UUID, list[str]] = defaultdict(list)
        self._blind: dict[UUID, set[str]] = defaultdict(set)
        cases = ReviewCase.objects.filter(image__site=site, kind=ReviewCase.Kind.CASE)
        for image, status in cases.values_list("image_id", "status"):
            self._cases[image].append(status)
        # Undone answers too: what a reader saw before the AI was shown.
        readings = Reading.objects.filter(case__in=cases.values("pk"), ai_shown_first=False)
        for image, answer in readings.values_list("case__image_id", "blind_answer"):
            self._blind[image].add(answer)

    def of(self, image: UUID, answer: str) -> frozenset[str] | None:
        """What people say, empty where that is nothing about a cataract; None while nobody has said it blind."""
        label, blind = self._labels.get(image), self._blind[image]
        if label is not None and label.provenance in _BLIND:
            said = {label.answer}
        elif label is not None and label.provenance == Label.Provenance.AFTER_AI:
            said = {*blind, label.answer} if blind else set()
        elif answer and blind - {answer, Answer.UNGRADABLE}:  # differs from the AI, and is not settled yet
            said = {*blind, answer}
        else:
            return None
        return frozenset(said - {Answer.UNGRADABLE})

    def is_closed_unread(self, image: UUID) -> bool:
        """Whether its case was withdrawn, because a retake has replaced the photo."""
        return bool(self._cases[image]) and set(self._cases[image]) == {ReviewCase.Status.WITHDRAWN}

    def unsettled(self, image: UUID) -> UUID | None:
        """The label, made after the AI was shown, that one more blind reading should settle; None if that was tried."""
        label = self._labels.get(image)
        was_tried = len(self._cases[image]) > 1
        is_after_ai = label is not None and label.provenance == Label.Provenance.AFTER_AI
        return label.pk if label is not None and is_after_ai and not was_tried else None
