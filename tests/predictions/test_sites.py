"""Sites and devices: what a sender may state, and two spellings of one device."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core import tokens
from predictions.photos.models import EyeImage
from predictions.sites.models import Device, DeviceSpelling, Site
from tests.factories import DeviceFactory, EyeImageFactory, SiteFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db
MERGE = "/admin/predictions/device/"


def program(user: User) -> Client:
    _, key = tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def post(client: Client, seed: int, **fields: str) -> Any:
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed), "image/jpeg")
    return client.post("/api/v1/predictions", {"eye": "OD", "photo": photo, **fields})


def names(client: Client, what: str) -> list[str]:
    return sorted(row["name"] for row in client.get(f"/api/v1/{what}").json()["results"])


def test_a_key_of_a_user_without_sites_may_state_any_and_means_the_first(champion: Any) -> None:
    first, second = SiteFactory.create(name="Clinic 1"), SiteFactory.create(name="Clinic 2")
    DeviceFactory.create(site=second, name="slit lamp 2")
    caller = program(UserFactory.create(roles=["integrator"]))
    assert names(caller, "sites") == ["Clinic 1", "Clinic 2"] and names(caller, "devices") == ["slit lamp 2"]
    assert post(caller, 1).status_code == 201
    assert post(caller, 2, site="clinic 2", device="slit lamp 2").status_code == 201
    assert sorted(EyeImage.objects.values_list("site", flat=True)) == sorted([first.pk, second.pk])
    assert Device.objects.count() == 1
    refused = post(caller, 3, site="Clinic 9")
    assert (refused.status_code, refused.json()["code"]) == (422, "site_unknown")
    assert "Clinic 1, Clinic 2" in refused.json()["detail"]


def test_a_key_of_a_user_with_sites_states_only_those(champion: Any) -> None:
    SiteFactory.create(name="Clinic 1")
    own = SiteFactory.create(name="Clinic 2")
    for site in Site.objects.all():
        DeviceFactory.create(site=site, name=f"camera of {site}")
    user = UserFactory.create(roles=["screener"])
    own.users.add(user)
    caller = program(user)
    assert names(caller, "sites") == ["Clinic 2"] and names(caller, "devices") == ["camera of Clinic 2"]
    assert post(caller, 1, site="Clinic 1").json()["code"] == "site_unknown"
    assert post(caller, 1).status_code == 201 and EyeImage.objects.get().site == own


def test_two_spellings_of_a_device_are_merged_on_record_and_stay_one(champion: Any) -> None:
    good, bad = DeviceFactory.create(name="Apple iPhone 12"), DeviceFactory.create(name="iphone12")
    EyeImageFactory.create(device_name="iphone12")
    admin = UserFactory.create(roles=["admin"])
    client = Client()
    client.force_login(admin)
    chosen = {"action": "merge", "_selected_action": [good.pk, bad.pk]}
    page = client.post(MERGE, chosen).content.decode()
    assert "Apple iPhone 12" in page and "iphone12" in page and Device.objects.count() == 2
    answer = client.post(MERGE, {**chosen, "target": good.pk}, follow=True).content.decode()
    assert "Merged iphone12 into Apple iPhone 12: 1 photo moved." in answer
    assert Device.objects.get() == good and EyeImage.objects.get().device == good
    assert DeviceSpelling.objects.get().merged_by == admin
    assert "Merged iphone12 into" in LogEntry.objects.get().get_change_message()
    assert "iphone12" in client.get(f"{MERGE}{good.pk}/change/").content.decode()

    sender = program(UserFactory.create(roles=["screener"]))
    post(sender, 1, device="iphone12")
    assert Device.objects.count() == 1 and good.images.count() == 2, "the old spelling makes no new device"
    (listed,) = sender.get("/api/v1/devices").json()["results"]
    assert listed["spellings"] == ["iphone12"]


def test_devices_of_two_sites_are_not_merged() -> None:
    one, other = DeviceFactory.create(), DeviceFactory.create(site=SiteFactory.create(name="Clinic 2"))
    client = Client()
    client.force_login(UserFactory.create(roles=["admin"]))
    chosen = {"action": "merge", "_selected_action": [one.pk, other.pk], "target": one.pk}
    assert "Only devices of one site" in client.post(MERGE, chosen, follow=True).content.decode()
    assert Device.objects.count() == 2
