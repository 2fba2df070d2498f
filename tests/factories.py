"""factory_boy factories for the rows that tests need, and drawn photos."""

import functools
import hashlib
import io
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone
from factory.declarations import (
    LazyAttribute,
    LazyAttributeSequence,
    LazyFunction,
    Maybe,
    SelfAttribute,
    Sequence,
    SubFactory,
)
from factory.django import DjangoModelFactory, Password
from PIL import Image

from cataract.ml.synthetic import render_eye
from cataract.roles import STAFF, ensure_roles
from predictions.answering.models import Disclosure, Prediction
from predictions.photos.models import Cluster, EyeImage
from predictions.releases.models import Release
from predictions.sites.models import Device, Patient, Site
from review.labels.models import Label
from training.datasets.models import Dataset
from training.runs.models import TrainingRun

PASSWORD = "a long password for tests"


@functools.cache
def jpeg_bytes(seed: int = 1, *, opacity: float = 0.0, size: int = 320) -> bytes:
    """A rendered eye as JPEG: the same bytes for the same arguments."""
    file = io.BytesIO()
    Image.fromarray(render_eye(seed, opacity=opacity, size=size)).save(file, "JPEG", quality=92)
    return file.getvalue()


class UserFactory(DjangoModelFactory[User]):
    """A user with these roles, whose password is PASSWORD."""

    class Meta:
        model = User

    roles: Iterable[str] = ()
    username = LazyAttributeSequence(lambda user, number: f"{next(iter(user.roles), 'user')}{number}")
    password = Password(PASSWORD)
    is_staff = LazyAttribute(lambda user: not STAFF.isdisjoint(user.roles))

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, roles: Iterable[str] = (), **values: Any) -> User:
        user: User = super()._create(model_class, *args, **values)  # type: ignore[no-untyped-call]
        if roles:
            user.groups.set(_groups(roles))
        return user


def _groups(roles: Iterable[str]) -> list[Group]:
    groups = Group.objects.filter(name__in=roles)
    if len(groups) < len(set(roles)):
        ensure_roles()
        groups = groups.all()
    return list(groups)


class ReaderFactory(UserFactory):
    roles = ("reader",)


class AdjudicatorFactory(UserFactory):
    roles = ("adjudicator",)


class ClusterFactory(DjangoModelFactory[Cluster]):
    class Meta:
        model = Cluster

    split = "train"


class SiteFactory(DjangoModelFactory[Site]):
    """The site with this name."""

    class Meta:
        model = Site
        django_get_or_create = ("name",)

    name = Site.FIRST_NAME


class PatientFactory(DjangoModelFactory[Patient]):
    """The patient of this site with this key."""

    class Meta:
        model = Patient
        django_get_or_create = ("site", "key")

    site = SubFactory(SiteFactory)
    key = Sequence("P-{}".format)


class DeviceFactory(DjangoModelFactory[Device]):
    class Meta:
        model = Device
        django_get_or_create = ("site", "name")

    site = SubFactory(SiteFactory)
    name = "slit lamp"


class EyeImageFactory(DjangoModelFactory[EyeImage]):
    """The row of a photo in a cluster of its own, as if compared. There is no file unless the test stores one.

    `site_name`, `patient_key` and `device_name` name rows that are made if there are none.
    """

    class Meta:
        model = EyeImage

    class Params:
        site_name = Site.FIRST_NAME
        patient_key = ""
        device_name = ""

    site = SubFactory(SiteFactory, name=SelfAttribute("..site_name"))
    patient = Maybe(
        "patient_key", SubFactory(PatientFactory, site=SelfAttribute("..site"), key=SelfAttribute("..patient_key"))
    )
    device = Maybe(
        "device_name", SubFactory(DeviceFactory, site=SelfAttribute("..site"), name=SelfAttribute("..device_name"))
    )
    sha256 = Sequence(lambda number: hashlib.sha256(str(number).encode()).hexdigest())
    stored_sha256 = SelfAttribute("sha256")
    stored_name = LazyAttribute(lambda image: f"{image.sha256}.jpg")
    format = "JPEG"
    width = 640
    height = 480
    size = 1000
    perceptual_hash = LazyAttribute(lambda image: image.sha256[:16])
    eye = "OD"
    split = "train"
    cluster = SubFactory(ClusterFactory, split=SelfAttribute("..split"))
    compared_at = LazyFunction(timezone.now)
    source = "upload"


class ReleaseFactory(DjangoModelFactory[Release]):
    """The row of a release without a folder; the same row for the same id."""

    class Meta:
        model = Release
        django_get_or_create = ("id",)

    id = "release-of-the-test"
    manifest_sha256 = "0" * 64
    encoder = "0" * 64


class PredictionFactory(DjangoModelFactory[Prediction]):
    """A done prediction that asks for review. `decision=""`: made while no release served."""

    class Meta:
        model = Prediction

    image = SubFactory(EyeImageFactory)
    status = "done"
    done_at = LazyFunction(timezone.now)
    decision = "cataract"
    release = Maybe("decision", SubFactory(ReleaseFactory), None)
    probability = Maybe("decision", 0.6173, None)
    fast_probability = Maybe("decision", 0.6173, None)
    accurate_probability = Maybe("decision", 0.5921, None)
    route = Maybe("decision", "fast+accurate", "")
    needs_review = True
    reasons = LazyAttribute(lambda prediction: ["uncertain"] if prediction.decision else ["no_champion"])
    review_propensity = 1.0


class DisclosureFactory(DjangoModelFactory[Disclosure]):
    """The fact that a user has seen what the AI answered for a photo."""

    class Meta:
        model = Disclosure

    image = SelfAttribute("prediction.image")


class LabelFactory(DjangoModelFactory[Label]):
    """An imported label that may train."""

    class Meta:
        model = Label

    image = SubFactory(EyeImageFactory)
    answer = "cataract"
    provenance = "imported"
    may_train = True


class DatasetFactory(DjangoModelFactory[Dataset]):
    class Meta:
        model = Dataset

    fingerprint = Sequence("{:064x}".format)


class TrainingRunFactory(DjangoModelFactory[TrainingRun]):
    class Meta:
        model = TrainingRun

    dataset = SubFactory(DatasetFactory)
    base_release = SubFactory(ReleaseFactory)
