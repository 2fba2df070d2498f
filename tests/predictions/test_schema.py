"""The OpenAPI document is true: schemathesis calls everything in it, with right, wrong and odd values.

Nothing answers with 5xx, with a status that is not declared, or with a body or media type that the document does not
describe. One caller may do everything: more than refusals must be seen.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cataract.core import tokens
from cataract.core.models import ApiToken
from cataract.roles import ROLES
from predictions.answering import services as answering_services
from predictions.batches.models import Batch, BatchItem
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.webhooks import services as webhooks_services
from predictions.webhooks.models import WebhookDelivery
from review.cases.models import ReviewCase
from tests.factories import UserFactory, jpeg_bytes

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", get_wsgi_application())
schema.config.seed = 1


class Caller(NamedTuple):
    """A key, and what is there to be asked for, by the name that its id has in an address."""

    key: str
    rows: dict[str, str]


@pytest.fixture
def caller(champion: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """A caller with every permission, in a system with one row of most kinds."""
    cache.clear()
    monkeypatch.setattr("cataract.ops.system._BROKER_SECONDS", 0.1)  # no broker runs
    settings.API_RATES = dict.fromkeys(settings.API_RATES, "1000000/min")
    user = UserFactory.create(roles=ROLES)
    prediction = answering_services.upload_photo(
        user=user, data=jpeg_bytes(1), name="eye.jpg", source="api", facts=PhotoFacts(patient_key="P-1", eye="OD")
    )
    batch = Batch.objects.create(requested_by=user, source=EyeImage.Source.API, total=1)
    BatchItem.objects.create(batch=batch, position=0, name="eye.jpg")
    endpoint = webhooks_services.add_endpoint(user=user, url="https://example.org/", events=["release.promoted"])
    webhooks_services.record("release.promoted", {"release": champion.pk})
    case = ReviewCase.objects.create(image=prediction.image, prediction=prediction, review_propensity=1.0)
    rows = {
        "prediction_id": prediction.pk,
        "batch_id": batch.pk,
        "endpoint_id": endpoint.pk,
        "delivery_id": WebhookDelivery.objects.get().pk,
        "id": case.pk,
        "release_id": champion.pk,
    }
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # as Django's own test client does: the test is one transaction
    key = tokens.create_token(user=user, name="test", scopes=list(ApiToken.Scope.values), days=1)[1]
    yield Caller(key, {name: str(row) for name, row in rows.items()})
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.django_db
@schema.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_call_answers_as_described(case: Any, caller: Caller) -> None:
    headers = {"Authorization": f"Bearer {caller.key}", "Host": "localhost"}
    case.call_and_validate(headers=headers, checks=CHECKS)
    there = {name: caller.rows[name] for name in case.path_parameters or {} if name in caller.rows}
    if there:  # the same with an existing row: the invented ids above are never found
        case.path_parameters.update(there)
        case.call_and_validate(headers=headers, checks=CHECKS)
