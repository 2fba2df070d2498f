"""The client library follows results until clinicians have decided."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cataract.core import tokens
from clients.cataract_client import Client, main
from predictions.answering import final_results
from predictions.answering.models import Prediction
from tests.factories import PredictionFactory, UserFactory
from tests.record import lifted

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_client_waits_for_the_final_result_and_follows_changes(
    live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = UserFactory.create(roles=["integrator"])
    _, key = tokens.create_token(user=sender, name="test", scopes=["read"], days=1)
    client = Client(live_server.url, key)
    row = PredictionFactory.create(decision="normal", image__uploaded_by=sender)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    with lifted():
        Prediction.objects.update(created_at=long_ago, done_at=long_ago)
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert list(client.changes(since)) == []
    with pytest.raises(TimeoutError):
        client.wait_for_final(str(row.pk), seconds=0.1, pause=0.2)

    def clinicians_answer(_seconds: float) -> None:
        final_results.settle_by_people(image=row.image, answer="cataract", basis="double", is_final=True)

    monkeypatch.setattr("clients.cataract_client.time.sleep", clinicians_answer)  # the clock
    found = client.wait_for_final(str(row.pk), seconds=120)
    assert found["decision"] == "normal" and found["final_result"]["answer"] == "cataract"
    (changed,) = client.changes(since, state=["final", "amended"])
    assert changed["id"] == str(row.pk) and list(client.changes(since, state="waiting")) == []

    words = ["list", "--state=final", "--state=amended", f"--changed-since={since.isoformat()}"]
    assert main([f"--url={live_server.url}", f"--key={key}", *words]) == 0
    assert json.loads(capsys.readouterr().out)["final_result"]["basis"] == "double"
