"""The photos behind the preview of a run: what it would use, and who is left out and why."""

import pytest
from django.test import Client
from django.urls import reverse

from predictions.answering.models import Disclosure
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from tests.factories import PredictionFactory, UserFactory
from tests.training.makers import capture_published, label_photo

pytestmark = pytest.mark.django_db
PAGE = "/training/labels/"


def thumb(image: EyeImage) -> str:
    return reverse("predictions:photo", args=[image.pk, "thumb"])


def test_a_count_leads_to_its_photos_and_those_left_out_say_why(
    client: Client, champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_published(monkeypatch)
    used, other = label_photo("cataract", "train", 1).image, label_photo("normal", "test", 2).image
    refused = label_photo("normal", "train", 3).image
    EyeImage.objects.filter(pk=refused.pk).update(may_train=False)
    PredictionFactory.create(image=used)
    client.force_login(UserFactory.create(username="admin", roles=["admin"]))
    start = client.get(reverse("admin:training_trainingrun_add")).content.decode()
    assert f"{PAGE}?split=train&amp;answer=cataract" in start and f"{PAGE}?left_out=1" in start
    assert thumb(used) in start and "Left out: no consent to train with the photo" in start
    page = client.get(f"{PAGE}?split=train&answer=cataract").content.decode()
    assert thumb(used) in page and thumb(other) not in page and thumb(refused) not in page
    assert Disclosure.objects.filter(user__username="admin", image=used).exists()
    page = client.get(f"{PAGE}?left_out=1").content.decode()
    assert thumb(refused) in page and "Left out: no consent to train with the photo" in page
    assert thumb(used) not in page
    assert client.get(f"{PAGE}?split=none&answer=cataract").status_code == 404


@pytest.mark.parametrize(("role", "status"), [("auditor", 200), ("screener", 403), ("reader", 403)])
def test_only_those_who_oversee_see_labels(client: Client, champion: Release, role: str, status: int) -> None:
    client.force_login(UserFactory.create(roles=[role]))
    assert client.get(f"{PAGE}?left_out=1").status_code == status
