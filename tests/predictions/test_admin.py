"""What an admin sees and creates in the admin, and what is read-only there."""

from typing import Any

import pytest
from django.test import Client

from cataract.core.models import ApiToken
from predictions.answering import services
from predictions.answering.models import Disclosure
from tests.factories import LabelFactory, PredictionFactory, UserFactory, jpeg_bytes
from tests.review.makers import make_case

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
    assert "cat_" not in keys and "<h1>API keys</h1>" in keys and "Select" not in keys.split("<body")[0]
    assert admin.get(f"/admin/predictions/apitoken/{token.pk}/change/").status_code == 200
    admin.post("/admin/predictions/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    bad = admin.post("/admin/predictions/apitoken/add/", {**form, "days": 0})
    assert bad.status_code == 200 and ApiToken.objects.count() == 1


def test_a_search_finds_a_photo_by_its_id_and_by_first_characters(admin: Client) -> None:
    found = PredictionFactory.create(image__patient_key="North-17", image__sha256="ab" * 32)
    other = PredictionFactory.create(image__patient_key="South-17", image__sha256="cd" * 32)
    case, other_case = (make_case(image=row.image) for row in (found, other))
    LabelFactory.create(image=found.image)
    rows = {
        "predictions/eyeimage": (found.image_id, other.image_id),
        "predictions/prediction": (found.pk, other.pk),
        "review/reviewcase": (case.pk, other_case.pk),
    }
    words = (str(found.image_id), "north-1", "North-17", "abababab")
    for address, (wanted, unwanted) in rows.items():
        for typed in (*words, str(wanted)):
            page = admin.get(f"/admin/{address}/", {"q": typed}).content.decode()
            assert f"{wanted}/change/" in page and f"{unwanted}/change/" not in page, (address, typed)
        assert f"{wanted}/change/" not in admin.get(f"/admin/{address}/", {"q": "orth"}).content.decode()
    assert "North-17" in admin.get("/admin/predictions/patient/", {"q": "north"}).content.decode()
    assert "North-17" in admin.get("/admin/review/label/", {"q": "North-17"}).content.decode()


def test_a_long_list_shows_its_first_rows_and_says_so(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cataract.core.admin.MOST_LISTED", 3)
    PredictionFactory.create_batch(5)
    page = admin.get("/admin/predictions/prediction/").content.decode()
    assert "the first 3" in page and page.count("/change/") >= 5
