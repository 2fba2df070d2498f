"""What Prometheus reads of a running system, and what its log says of each request."""

import json
import logging
import logging.config
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from cataract.core import logs
from cataract.core.errors import StorageFull
from predictions.releases.models import Release
from tests.factories import UserFactory, jpeg_bytes
from tests.predictions.test_api import URL, Api

pytestmark = pytest.mark.django_db(transaction=True)


def scrape(client: Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of /metrics: {(name, labels): value}."""
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Any, name: str, **labels: str) -> float:
    return float(samples.get((name, frozenset(labels.items())), 0.0))


def test_an_upload_is_counted_with_its_answer_and_its_stages(champion: Release) -> None:
    api, admin = Api(), Client()
    admin.force_login(UserFactory.create(roles=["admin"]))
    before = scrape(admin)
    answer = api.send(jpeg_bytes(2, opacity=1.0)).json()
    api.send(b"no photo")
    after = scrape(admin)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    route = URL
    assert grown("cataract_http_requests_total", method="POST", route=route, status="201") == 1
    assert grown("cataract_http_requests_total", method="POST", route=route, status="415") == 1
    assert grown("cataract_http_request_seconds_count", route=route) == 2
    needs_review = "yes" if answer["needs_review"] else "no"
    assert grown("cataract_answers_total", decision="cataract", needs_review=needs_review) == 1
    for reason in answer["reasons"]:
        assert grown("cataract_review_reasons_total", reason=reason) == 1
    assert grown("cataract_prediction_stage_seconds_count", stage="total") == 1
    assert grown("cataract_refused_photos_total", code="type_unknown") == 1


def test_the_state_of_the_system_is_read_from_its_rows(champion: Release) -> None:
    Api().send(jpeg_bytes(2, opacity=1.0))
    admin = Client()
    admin.force_login(UserFactory.create(roles=["admin"]))
    found = scrape(admin)
    assert value(found, "cataract_champion_up") == 1
    assert value(found, "cataract_champion_info", release=champion.pk) == 1
    assert value(found, "cataract_database_up") == 1
    assert value(found, "cataract_disk_free_bytes") > 0
    assert ("cataract_predictions_queued", frozenset()) in found and ("cataract_workers", frozenset()) in found


def test_metrics_are_for_those_who_see_the_system(champion: Release) -> None:
    assert Client().get("/metrics").status_code == 401
    reader = Client()
    reader.force_login(UserFactory.create(roles=["reader"]))
    assert reader.get("/metrics").status_code == 403
    assert scrape(Api().client), "a key with the scope read"
    assert Api(scopes=("upload",)).client.get("/metrics").status_code == 403


@pytest.fixture
def lines() -> Iterator[Any]:
    """The JSON objects that the log wrote since they were read last."""
    written = StringIO()
    configuration = logs.configure("INFO", as_json=True)
    configuration["handlers"]["stderr"]["stream"] = written
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.config.dictConfig(configuration)

    def read() -> list[Any]:
        found = [json.loads(line) for line in written.getvalue().splitlines()]
        written.truncate(written.seek(0))
        return found

    yield read
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_each_request_is_one_line_of_json_with_its_id(champion: Release, lines: Any) -> None:
    api = Api()
    lines()
    answer = api.get("/api/v1/predictions", patient="Ann Secret")
    (line,) = [line for line in lines() if line["event"] == "request_finished"]
    assert line["request_id"] == answer["X-Request-ID"] and line["request"] == "GET /api/v1/predictions"
    assert (line["code"], line["user"], line["key"]) == (200, api.user.pk, str(api.token.pk))
    assert line["milliseconds"] > 0 and line["level"] == "info"
    assert "Secret" not in json.dumps(line)


def test_what_is_logged_meanwhile_bears_the_same_id(lines: Any) -> None:
    """A message of the standard library, as most of the code writes them; here that the disk is full."""
    api = Api()
    lines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("predictions.photos.storage.store", _disk_is_full)
        answer = api.send(jpeg_bytes(3))
    assert answer.status_code == 503
    found = {line["event"]: line for line in lines()}
    assert {"The disk is full", "request_finished"} <= set(found)
    assert {line.get("request_id") for line in found.values()} == {answer["X-Request-ID"]}, found


def _disk_is_full(*_: Any, **__: Any) -> Any:
    logging.getLogger("tests").warning("The disk %s full", "is")
    raise StorageFull


def test_a_line_for_people_names_what_it_belongs_to() -> None:
    event = {"event": "It failed", "level": "warning", "logger": "a.b", "timestamp": "2026-01-31T12:00:00Z", "run": 7}
    assert logs._line(None, "", event) == "2026-01-31T12:00:00Z WARNING a.b: It failed (run=7)"
