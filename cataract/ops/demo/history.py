"""Weeks of two made-up clinics, lived through by the services that real clinics use, with the clock turned back.

Every eye is drawn and every person made up; the answers are those of the serving release, and the readings, labels and
the challenger come about as everywhere else. What is not real: the eyes are told apart by their names only, so their
pictures, which resemble each other more than photos do, are not searched for copies.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any, Self
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from cataract.ml.labels import NORMAL
from cataract.ops.demo.drawing import SITES, Drawn, Visit
from predictions.answering.answers import Answer, Grade
from predictions.answering.services import upload_photo
from predictions.drift import worker as drift
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.sites.models import Site
from review.cases.models import ReviewCase
from review.queue.opening import open_cases
from review.reading import services as reading
from training.runs import services as runs
from training.runs.models import TrainingRun

Say = Callable[[str], Any]

_UNREAD_DAYS = 6  # of these last days most cases wait for readers
_DISPUTED_DAYS = 14  # and those on which readers differ, for the adjudicator
_TRIALS = 3  # of the search of the challenger's parameters


@dataclass(frozen=True)
class People:
    """Who works in the made-up clinics. `accuracy`: the share of right answers of each reader."""

    screeners: Sequence[User]  # one a site
    readers: Mapping[User, float]
    adjudicator: User
    admin: User


def live(people: People, visits: Drawn, *, say: Say = print) -> None:
    """Let the visits take place in the last weeks, the readers read, and drift be looked for.

    The installation must be empty and have had a champion since before the first visit.
    """
    for name, screener in zip(SITES, people.screeners, strict=True):
        Site.objects.get_or_create(name=name)[0].users.add(screener)
    story = _Story(people, random.Random("readers"))
    say("Eyes are drawn, the release answers, readers read ...")
    for day, photos in groupby(visits, key=lambda visit: visit[0].day):
        with days_ago(day):
            story.receive(photos)
            story.read(most=None if day >= _UNREAD_DAYS else 1)
            if day >= _DISPUTED_DAYS:
                story.adjudicate()
    say("Looking for drift ...")
    drift.watch()


def queue_challenger(admin: User) -> TrainingRun:
    """Queue a run on the readers' labels, as the button does. Raises NotEnoughLabels."""
    return runs.start_training(
        user=admin,
        kind=TrainingRun.Kind.FAST,
        reason="The labels of the first weeks",
        parameters={"trials": _TRIALS},
    )


@contextmanager
def days_ago(days: float) -> Iterator[None]:
    """Turn the clock of Django back: whatever asks it for the time, the defaults of columns too, is told an earlier."""
    _Clock.behind = timedelta(days=days)
    timezone.datetime = _Clock  # type: ignore[attr-defined]
    try:
        yield
    finally:
        timezone.datetime = datetime  # type: ignore[attr-defined]


class _Clock(datetime):
    behind = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return datetime.now(tz) - cls.behind  # type: ignore[return-value]


class _Story:
    """What happens in the clinics, a day at a time."""

    def __init__(self, people: People, chance: random.Random) -> None:
        self._people, self._chance = people, chance
        self._truth: dict[UUID, str] = {}

    def receive(self, photos: Iterator[tuple[Visit, bytes]]) -> None:
        """Photos are sent and answered, and cases are opened."""
        for visit, data in photos:
            facts = PhotoFacts(
                patient_key=visit.patient, eye=visit.eye, site=visit.site, device=visit.device,
                captured_at=timezone.now() - timedelta(minutes=5), may_train=True,
            )  # fmt: skip
            prediction = upload_photo(
                data=data,
                user=self._people.screeners[SITES.index(visit.site)],
                source=EyeImage.Source.UPLOAD,
                facts=facts,
                name=f"{visit.patient}-{visit.eye}.jpg",
                is_shown=True,
            )
            self._truth[prediction.image_id] = visit.truth
        new = EyeImage.objects.filter(pk__in=list(self._truth), compared_at=None)
        new.update(compared_at=timezone.now())
        open_cases()

    def read(self, *, most: int | None) -> None:
        """Readers take turns until nothing is left that one of them may read, or each has read `most`."""
        turns = 0
        readers = [*self._people.readers]
        while readers and (most is None or turns < most):
            readers = [reader for reader in readers if self._read_one(reader)]
            turns += 1

    def adjudicate(self) -> None:
        """The adjudicator decides where readers differ."""
        while self._read_one(self._people.adjudicator):
            pass

    def _read_one(self, reader: User) -> bool:
        case = reading.claim_next(reader=reader)
        if case is None:
            return False
        answer = self._answer(case, self._people.readers.get(reader, 0.99))
        if case.status == ReviewCase.Status.ADJUDICATION:
            reason = "The pupil is seen well enough."
            reading.adjudicate(case=case, adjudicator=reader, answer=answer, reason=reason)
            return True
        reading.show_ai_first(case=case, reader=reader)
        stored = reading.store_blind_answer(
            case=case,
            reader=reader,
            answer=answer,
            grade=self._chance.choice([Grade.IMMATURE.value, Grade.MATURE.value]),
            unsure=self._chance.random() < 0.04,
            seconds=round(self._chance.lognormvariate(1.9, 0.4), 1),
        )
        if not stored.final_answer:
            is_changed = self._chance.random() < 0.3
            final = self._truth.get(case.image_id, answer) if is_changed else answer
            reading.store_final_answer(reading=stored, answer=final, seconds=round(self._chance.uniform(2, 9), 1))
        return True

    def _answer(self, case: ReviewCase, accuracy: float) -> str:
        truth = self._truth.get(case.image_id, NORMAL)
        if self._chance.random() < accuracy:
            return truth
        return self._chance.choice([Answer.NORMAL, Answer.CATARACT, Answer.UNGRADABLE])
