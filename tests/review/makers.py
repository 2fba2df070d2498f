"""Small makers of rows, so that a test of the review says only what it is about."""

import hashlib
import itertools
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from predictions.answering.models import Disclosure, Prediction
from predictions.photos.models import Cluster, EyeImage
from predictions.releases.models import Release
from review.cases.models import ReviewCase
from review.queue import opening

_numbers = itertools.count(1)
READER = ("read_reviewcase",)
ADJUDICATOR = ("read_reviewcase", "adjudicate_reviewcase")


def make_user(*permissions: str, name: str = "") -> User:
    user = User.objects.create_user(name or f"person{next(_numbers)}", password="a long password")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return User.objects.get(pk=user.pk)


def make_reader(name: str = "") -> User:
    return make_user(*READER, name=name)


def make_adjudicator(name: str = "") -> User:
    return make_user(*ADJUDICATOR, name=name)


def make_image(**values: Any) -> EyeImage:
    digest = hashlib.sha256(str(next(_numbers)).encode()).hexdigest()
    defaults: dict[str, Any] = {
        "sha256": digest,
        "stored_sha256": digest,
        "stored_name": f"{digest}.jpg",
        "format": "JPEG",
        "width": 640,
        "height": 480,
        "size": 1000,
        "perceptual_hash": digest[:16],
        "eye": "OD",
        "cluster": Cluster.objects.create(split="train"),
        "split": "train",
        "source": "upload",
    }
    return EyeImage.objects.create(**{**defaults, **values})


def make_release(name: str = "release-of-the-test") -> Release:
    values = {"manifest_sha256": "0" * 64, "encoder": "0" * 64}
    return Release.objects.get_or_create(pk=name, defaults=values)[0]


def make_prediction(decision: str = "cataract", **values: Any) -> Prediction:
    """A DONE prediction that asks for review; `decision=""` is one made without a champion."""
    defaults: dict[str, Any] = {
        "image": values.pop("image", None) or make_image(),
        "status": "done",
        "done_at": timezone.now(),
        "release": make_release() if decision else None,
        "decision": decision,
        "probability": 0.6173 if decision else None,
        "fast_probability": 0.6173 if decision else None,
        "accurate_probability": 0.5921 if decision else None,
        "route": "fast+accurate" if decision else "",
        "needs_review": True,
        "reasons": ["uncertain"] if decision else ["no_champion"],
        "review_propensity": 1.0,
    }
    return Prediction.objects.create(**{**defaults, **values})


def make_case(decision: str = "cataract", **values: Any) -> ReviewCase:
    prediction = make_prediction(decision, **values)
    opening.open_cases()
    return ReviewCase.objects.get(prediction=prediction)


def disclose(case: ReviewCase, user: User) -> None:
    assert case.prediction is not None
    Disclosure.objects.create(prediction=case.prediction, image=case.image, user=user)
