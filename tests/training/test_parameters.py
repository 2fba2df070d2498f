"""The parameters of a run: the same names, limits and defaults in the form, by the API and on the command line."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from clients import cataract_client
from predictions.releases.models import Release
from tests.factories import UserFactory
from tests.training.makers import capture_published, label_photos
from training.runs.models import TrainingRun
from training.runs.parameters import CHOICES

pytestmark = pytest.mark.django_db(transaction=True)
START, RUNS = "/admin/training/trainingrun/add/", "/api/v1/training-runs"
SAID = {
    "search": "grid",
    "trials": 60,
    "minutes": 2.5,
    "epochs": 7,
    "distil": True,
    "teach_weight": 0.2,
    "teach_floor": 0.95,
}
SAID |= {"max_missed": 0.02, "max_false_alarms": 0.1, "confidence": 0.9, "prevalence": 0.05}


@pytest.fixture(autouse=True)
def admin(champion: Release, client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    capture_published(monkeypatch)
    label_photos(test=1)
    client.force_login(UserFactory.create(roles=["admin"]))
    return client


def by_form(client: Client, said: dict[str, Any]) -> int:
    return client.post(START, {"kind": "both", "reason": "", **said}).status_code


def by_api(client: Client, said: dict[str, Any]) -> int:
    return client.post(RUNS, said, content_type="application/json").status_code


def by_command(client: Client, said: dict[str, Any]) -> int:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in said.items() if name != "distil"]
    try:
        call_command("train", *words, *(["--distil"] if said.get("distil") else []))
    except CommandError:
        return 422
    return 202


WAYS = [by_form, by_api, by_command]


@pytest.mark.parametrize("ask", WAYS)
def test_each_way_starts_the_same_run(client: Client, settings: Any, ask: Any) -> None:
    settings.AUTO_MAX_FALSE_ALARMS = 0.08
    usual = {"max_missed": 0.01, "max_false_alarms": 0.08, "confidence": 0.95, "prevalence": 0.5}
    stated = {"max_missed": 0.02, "max_false_alarms": 0.1, "confidence": 0.9, "prevalence": 0.05}
    taught = {"distillation": {"weight": 0.2, "floor": 0.95}}
    for said, expected in (
        ({}, {"search": "tpe", "trials": 20, "seconds": 600, "epochs": 40} | usual),
        (SAID, {"search": "grid", "trials": 60, "seconds": 150, "epochs": 7} | taught | stated),
    ):
        assert ask(client, said) in (202, 302)
        run = TrainingRun.objects.get()
        assert run.parameters == expected
        assert client.get(f"{RUNS}/{run.pk}").json()["parameters"] == run.parameters
        run.delete()


@pytest.mark.parametrize("ask", WAYS)
def test_a_retraining_keeps_what_its_base_promises(client: Client, champion: Release, settings: Any, ask: Any) -> None:
    """The starter promises 5 % at 40 % prevalence. The usual 1 % came back in silence."""
    policy = {"limits": {"missed": 0.03, "false_alarms": 0.07}, "confidence": 0.9, "prevalence": 0.4}
    Release.objects.filter(pk=champion.pk).update(manifest={**champion.manifest, "policy": policy})
    kept = {"max_missed": 0.03, "max_false_alarms": 0.07, "confidence": 0.9, "prevalence": 0.4}
    for said, stated, expected in (
        ({}, {}, kept),
        ({"max_missed": 0.02}, {}, kept | {"max_missed": 0.02}),
        ({}, {"AUTO_CONFIDENCE": 0.99}, kept | {"confidence": 0.99}),
        ({}, {"AUTO_STATED": ("AUTO_MAX_MISSED",)}, kept | {"max_missed": 0.01}),
    ):
        for name, value in stated.items():
            setattr(settings, name, value)
        assert ask(client, said) in (202, 302)
        run = TrainingRun.objects.get()
        assert {name: run.parameters[name] for name in kept} == expected
        page = client.get(f"/admin/training/trainingrun/{run.pk}/change/").content.decode()
        assert "Cataracts that leave as normal unseen: " in page
        assert ("(the base release: 3 %)" in page) == (expected["max_missed"] != 0.03)
        run.delete()
        settings.AUTO_CONFIDENCE = 0.95


@pytest.mark.parametrize("ask", WAYS)
def test_each_way_refuses_the_same(client: Client, ask: Any) -> None:
    wrong = {name: (choice.low - choice.low / 2, choice.high + 1, "nan") for name, choice in CHOICES.items()}
    for name, values in wrong.items():
        for value in values:
            assert ask(client, {name: value}) == 422, (name, value)
    assert not TrainingRun.objects.exists()


def test_the_client_sends_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[Any] = []

    def answer(self: Any, method: str, path: str, data: bytes | None, *_: Any) -> bytes:
        sent.append((method, path, json.loads(data or b"null")))
        return json.dumps({"id": "r", "status": "queued" if method == "POST" else "succeeded"}).encode()

    monkeypatch.setattr(cataract_client.Client, "_open", answer)  # the network
    words = ["train", "--model=fast", "--trials=60", "--teach-floor=0.95", "--max-missed=0.02", "--distil"]
    assert cataract_client.main(["--url=http://x", "--key=k", *words, "--wait"]) == 0
    wanted = {"model": "fast", "trials": 60, "teach_floor": 0.95, "max_missed": 0.02, "distil": True}
    assert sent == [("POST", "training-runs", wanted), ("GET", "training-runs/r", None)]
    assert '"succeeded"' in capsys.readouterr().out
