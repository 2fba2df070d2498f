"""What an admin sees and creates in the admin, and what is read-only there."""

from typing import Any

import pytest
from django.test import Client

from cataract.core.models import ApiToken
from predictions.answering import services
from predictions.answering.models import Disclosure
from tests.factories import UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(roles=["admin"]))
    return client


def test_records_are_looked_at_and_never_edited(admin: Client, champion: Any) -> None:
    prediction = services.upload_photo(data=jpeg_bytes(1), user=None, source="api")
    for model, key in (
        ("prediction", prediction.pk),
        ("eyeimage", prediction.image_id),
        ("release", champion.pk),
        ("promotion", champion.promotions.get().pk),
    ):
        assert admin.get(f"/admin/predictions/{model}/").status_code == 200, model
        assert admin.get(f"/admin/predictions/{model}/{key}/change/").status_code == 200, model
        assert admin.post(f"/admin/predictions/{model}/{key}/change/", {}).status_code == 403, model
        assert admin.get(f"/admin/predictions/{model}/add/").status_code == 403, model
        assert admin.post(f"/admin/predictions/{model}/{key}/delete/", {"post": "yes"}).status_code == 403, model
    assert Disclosure.objects.filter(prediction=prediction).count() == 1


def test_a_key_is_shown_once(admin: Client) -> None:
    user = UserFactory.create(roles=["integrator"])
    form = {"user": user.pk, "name": "Clinic", "scopes": ["upload", "read"], "days": 30}
    page = admin.post("/admin/predictions/apitoken/add/", form, follow=True).content.decode()
    token = ApiToken.objects.get()
    assert token.scopes == ["read", "upload"] and page.count("cat_") == 1
    key = page.split("<code>")[1].split("</code>")[0]
    assert Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/predictions").status_code == 200
    keys = admin.get("/admin/predictions/apitoken/").content.decode()
    assert "cat_" not in keys and "Select API key to" in keys
    assert admin.get(f"/admin/predictions/apitoken/{token.pk}/change/").status_code == 200
    admin.post("/admin/predictions/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    bad = admin.post("/admin/predictions/apitoken/add/", {**form, "days": 0})
    assert bad.status_code == 200 and ApiToken.objects.count() == 1
