"""The OpenAPI document is true: schemathesis calls everything in it, with right, wrong and odd values.

Nothing answers with 5xx, with a status that is not declared, or with a body or media type that the document does not
describe. One caller may do everything, so that more than refusals is seen.
"""

from collections.abc import Iterator
from typing import Any

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

from predictions import services
from predictions.access import ROLES
from predictions.models import ApiToken
from tests.factories import jpeg_bytes, make_user

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", get_wsgi_application())
schema.config.seed = 1


@pytest.fixture
def key(champion: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The key of somebody who may do everything, in a system that has a result, an endpoint and a release."""
    cache.clear()
    monkeypatch.setattr("predictions.state._BROKER_SECONDS", 0.1)  # there is no broker to wait for
    settings.API_RATES = dict.fromkeys(settings.API_RATES, "1000000/min")
    user = make_user(*ROLES)
    services.upload_photo(user=user, data=jpeg_bytes(1), name="eye.jpg", source="api", patient_key="P-1", eye="OD")
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # as Django's own test client does: the test is one transaction
    yield services.create_token(user=user, name="test", scopes=list(ApiToken.Scope.values), days=1)[1]
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.django_db
@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_call_answers_as_described(case: Any, key: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {key}", "Host": "localhost"}, checks=CHECKS)
