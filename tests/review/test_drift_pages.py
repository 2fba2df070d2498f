"""The pages of drift: state, plots with their data, photos then and now, what to do; never a photo's answer."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from predictions.answering.models import Disclosure, Prediction
from predictions.drift import worker
from predictions.drift.models import DriftSegment
from predictions.photos.models import EyeImage
from tests.factories import SiteFactory, UserFactory
from tests.predictions.makers import answered, make_champion
from tests.review.makers import read

pytestmark = pytest.mark.django_db


def test_a_drifted_segment_is_shown_with_all_that_it_takes_to_act(client: Client) -> None:
    make_champion()
    client.force_login(UserFactory.create(roles=["admin"]))
    assert "Nothing is watched yet" in client.get("/review/drift/").content.decode()
    answered(240, until=timezone.now() - timedelta(days=6))
    answered(150, brighter=1.5, seed=1)
    read(SiteFactory.create(), "cataract", "cataract", 4)
    worker.watch(seconds=600)
    segment = DriftSegment.objects.get(kind="all")
    listing = client.get("/review/drift/").content.decode()
    assert "Drift confirmed" in listing and "Brightness 1." in listing and "standard deviations higher" in listing
    assert f'href="/review/drift/{segment.pk}/"' in listing and 'aria-current="page">Drift</a>' in listing

    page = client.get(f"/review/drift/{segment.pk}/").content.decode()
    assert "What to do" in page and "Began about" in page and "Start over" in page
    assert page.count('<svg class="chart"') == 8 and "Data of Brightness" in page, "seven measures, and the performance"
    assert "Sensitivity, estimated" in page and "Sensitivity, all photos" in page
    shown = [str(image) for image in EyeImage.objects.values_list("pk", flat=True) if f"/photos/{image}/thumb/" in page]
    assert len(shown) == 12
    for answer in ("Probably cataract", "No sign of cataract", 'class="decision'):
        assert answer not in page
    assert not Disclosure.objects.exists(), "no answer about a photo was shown"

    EyeImage.objects.filter(pk=shown[0]).update(status="trashed", removed_at=timezone.now())
    assert shown[0] not in client.get(f"/review/drift/{segment.pk}/").content.decode()
    assert "nothing was changed" in client.post(f"/review/drift/{segment.pk}/restart/", follow=True).content.decode()
    page = client.post(f"/review/drift/{segment.pk}/restart/", {"reason": "A new lamp."}, follow=True).content.decode()
    assert "Done." in page and "A new lamp." in page and "Collecting photos" in page


def test_the_same_answers_change_nothing_on_the_photos_that_are_shown(client: Client) -> None:
    """Which photos are shown, and in what order, tells nothing of what the AI said of them."""
    make_champion()
    answered(230)
    worker.watch(seconds=600)
    segment = DriftSegment.objects.get(kind="all")
    client.force_login(UserFactory.create(roles=["auditor"]))

    def photos() -> str:
        page = client.get(f"/review/drift/{segment.pk}/").content.decode()
        return page[page.index('id="examples"') : page.index('id="measures"')]

    before = photos()
    Prediction.objects.filter(decision="cataract").update(decision="normal", probability=0.01, fast_probability=0.01)
    assert photos() == before
    assert "Start over" not in client.get(f"/review/drift/{segment.pk}/").content.decode()


def test_only_those_who_look_after_the_system_see_it(client: Client) -> None:
    make_champion()
    worker.watch()
    segment = DriftSegment.objects.get()
    for role in ("screener", "reader", "adjudicator", "integrator"):
        client.force_login(UserFactory.create(roles=[role]))
        assert client.get("/review/drift/").status_code == 403
        assert client.get(f"/review/drift/{segment.pk}/").status_code == 403
        assert "/review/drift/" not in client.get("/").content.decode()
