"""One patient at a glance: both eyes with the results that count, and the visits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import groupby, takewhile

from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.text import capfirst

from predictions.answering.models import Prediction
from predictions.patients.findings import Finding, finding_of, shows_an_eye, taken_at
from predictions.photos.models import EyeImage
from predictions.results.wording import Words, describe
from predictions.sites.models import Patient, Site

_REFER_AFTER = 2  # photos in a row that cannot be judged


@dataclass(frozen=True)
class EyeOverview:
    """One eye: its photos, each by its newest prediction, newest photo first.

    `counting` is the newest photo that no retake has replaced; None without a photo.
    """

    eye: str
    photos: Sequence[Prediction]

    @property
    def name(self) -> str:
        return str(EyeImage.Eye(self.eye).label)

    @property
    def title(self) -> str:
        return capfirst(self.name if self.eye else "eye not stated")

    @property
    def taken_at(self) -> datetime | None:
        return None if self.counting is None else taken_at(self.counting.image)

    @property
    def headline(self) -> str:
        """Which eye, and what its counting result says."""
        return (
            f"{self.title}: {_lower_first(self.words.headline)}"
            if self.words is not None
            else f"{self.title}: no photo."
        )

    @cached_property
    def counting(self) -> Prediction | None:
        return next(iter(self._not_replaced()), None)

    @cached_property
    def finding(self) -> Finding | None:
        return None if self.counting is None else finding_of(self.counting)

    @cached_property
    def unjudged(self) -> int:
        """How many of the newest photos of this eye could not be judged, in a row."""
        photos = [each for each in self._not_replaced() if shows_an_eye(each)]
        return len(list(takewhile(lambda each: finding_of(each) == Finding.UNGRADABLE, photos)))

    @property
    def refer_unjudged(self) -> bool:
        """Whether so many in a row could not be judged that it is time to refer."""
        return self.finding == Finding.UNGRADABLE and self.unjudged >= _REFER_AFTER

    @cached_property
    def words(self) -> Words | None:
        """The sentences of the counting result; None without a photo."""
        return None if self.counting is None else describe(self.counting)

    @property
    def next(self) -> str:
        """What to do now, in words."""
        words = self.words
        if words is None:
            return "Take a photo of this eye."
        if self.refer_unjudged:
            return "Refer to an eye doctor: two photos of this eye could not be judged."
        return words.next

    def _not_replaced(self) -> list[Prediction]:
        return [each for each in self.photos if each.state != Prediction.State.REPLACED]


@dataclass(frozen=True)
class Visit:
    """The photos of one local day at one site, right eye first, then by time."""

    day: date
    site: Site
    photos: Sequence[Prediction]

    def finding(self, eye: str) -> Finding | None:
        """What this visit's newest counting photo of an eye says; None without one."""
        return EyeOverview(eye, [each for each in reversed(self.photos) if each.image.eye == eye]).finding


@dataclass(frozen=True)
class Overview:
    """One patient: right eye, left eye, then photos whose eye was not stated; visits with the newest first."""

    patient: Patient
    eyes: Sequence[EyeOverview]
    visits: Sequence[Visit]

    @cached_property
    def worst(self) -> EyeOverview | None:
        """The eye that leads; the right one of two alike; None without any photo."""
        found = [(eye.finding.rank, place, eye) for place, eye in enumerate(self.eyes) if eye.finding is not None]
        return min(found)[-1] if found else None

    @cached_property
    def counting(self) -> list[Prediction]:
        """The results that count, at most one for each eye."""
        return [eye.counting for eye in self.eyes if eye.counting is not None]

    @property
    def photos(self) -> list[Prediction]:
        """Every photo of this patient by its newest prediction."""
        return [each for eye in self.eyes for each in eye.photos]


def overviews(patients: Sequence[Patient], user: User) -> list[Overview]:
    """The overview of each patient, of the photos that `user` may see: two queries, however many patients and photos.

    Whoever shows one records what was shown (`predictions.patients.services`).
    """
    rows = (
        Prediction.objects.visible_to(user).in_use().filter(image__patient__in=patients).order_by("-created_at", "pk")
    )
    photos: dict[object, dict[object, Prediction]] = defaultdict(dict)
    for prediction in rows:  # the newest prediction of each photo
        photos[prediction.image.patient_id].setdefault(prediction.image_id, prediction)
    return [overview_of(patient, photos[patient.pk].values()) for patient in patients]


def overview_of(patient: Patient, photos: Iterable[Prediction]) -> Overview:
    """The overview of one patient from the newest prediction of each photo, in any order."""
    newest_first = sorted(photos, key=lambda each: (taken_at(each.image), each.created_at), reverse=True)
    eyes = [EyeOverview(eye, [each for each in newest_first if each.image.eye == eye]) for eye in EyeImage.Eye.values]
    return Overview(patient, [eye for eye in eyes if eye.eye or eye.photos], _visits(newest_first))


def _visits(newest_first: Sequence[Prediction]) -> list[Visit]:
    def place(prediction: Prediction) -> tuple[date, int]:
        return timezone.localtime(taken_at(prediction.image)).date(), prediction.image.site_id

    visits = []
    for (day, _), group in groupby(sorted(newest_first, key=place, reverse=True), place):
        photos = list(group)
        photos.sort(key=lambda each: (_EYE_ORDER[each.image.eye], taken_at(each.image), each.created_at))
        visits.append(Visit(day, photos[0].image.site, photos))
    return visits


def _lower_first(sentence: str) -> str:
    """The sentence after a colon; names such as "AI" keep their capitals."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


_EYE_ORDER = {eye: place for place, eye in enumerate(EyeImage.Eye.values)}
