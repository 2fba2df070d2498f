"""Before the blind answer nothing that a reader can reach depends on the AI's answer: every address of the resolver.

Four worlds differ only in the AI's answer. A reader who holds a case asks every page and every endpoint of the
system about it, with each method that it knows, as a person and as a program; the worlds must answer the same bytes.
"""

import io
import logging
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from cataract.core.models import ApiToken
from cataract.core.tokens import create_token
from review.cases.models import Reading, ReviewCase
from review.queue import claims, opening
from tests.factories import PredictionFactory, UserFactory
from tests.predictions.test_permissions import TABLE, _walk
from tests.review.test_pages import neutral, stored_image

WORLDS: dict[str, dict[str, Any]] = {
    "cataract": {
        "probability": 0.9311,
        "fast_probability": 0.9311,
        "reasons": ["disagreement", "other_finding", "no_colour"],
    },
    "normal": {"probability": 0.0412, "reasons": ["audit_sample"], "review_propensity": 0.05},
    "ungradable": {"probability": None, "reasons": ["quality", "ungradable"]},
    "": {},
}
TRACES = ("0.9311", "0.0412", "0.6173", "0.5921", "release-of-the-test", "<dt>The AI</dt>")
NOBODY = "00000000-0000-0000-0000-000000000000"
# What is sent: enough to get past the form where that answers nothing, never a blind answer.
SENT: dict[str, list[dict[str, Any]]] = {
    "review/cases/<uuid:pk>/": [
        {"step": "blind", "answer": "nonsense"},
        {"step": "final", "answer": "cataract"},
        {"step": "adjudicate", "answer": "cataract", "reason": "x"},
    ],
    "api/v1/review/cases/<uuid:pk>/answer": [{"step": "final", "answer": "cataract"}, {"step": "blind"}],
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hundreds of refusals are expected here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def known_routes() -> list[tuple[str, str]]:
    """Every address and method of the system, the admin by GET; an unlisted address fails here by name."""
    routes = [route for route, _ in _walk(get_resolver(), "") if "(?P<" not in route]
    unlisted = [route for route in routes if route not in TABLE and not route.startswith("admin/")]
    assert not unlisted, f"add {unlisted} to tests/predictions/test_permissions.py"
    asked = [(route, method) for route in routes for method in TABLE.get(route, ["GET"])]
    # Those that end the session, or give the case back, come last: before them the case is held.
    late = ("logout", "leave", "release", "skip")
    return sorted(asked, key=lambda each: (any(word in each[0] for word in late), "logout" in each[0]))


def address_of(route: str, case: ReviewCase) -> str:
    """The address with every argument about this case, as far as there is one."""
    about: dict[str, Any] = {
        "pk": case.pk,
        "image": case.image_id,
        "image_id": case.image_id,
        "prediction": case.prediction_id,
    }
    about |= {"prediction_id": case.prediction_id, "kind": "thumb", "release_id": "release-of-this"}

    def fill(match: re.Match[str]) -> str:
        return str(about.get(match[2], NOBODY if match[1] == "uuid:" else "1"))

    return "/" + re.sub(r"<(\w+:)?(\w+)>", fill, route).lstrip("/")


def walk() -> Iterator[tuple[str, Any]]:
    """The responses to a reader who has just claimed a case and two more in advance."""
    reader = UserFactory.create(username="reader", roles=["reader"])  # the same name in every world
    client = Client()
    client.force_login(reader)
    _, key = create_token(user=reader, name="walk", scopes=ApiToken.Scope.values, days=1)
    program = Client(headers={"Authorization": f"Bearer {key}"})
    yield "start", client.post("/review/next/")
    case = claims.claimed_by(reader).get()
    ahead = client.post(f"/review/cases/{case.pk}/ahead/")
    assert [bool(each["screen"]) for each in ahead.json()["cases"]] == [True, True]
    yield "ahead", ahead
    yield "as htmx", client.get(f"/review/cases/{case.pk}/", headers={"HX-Request": "true"})
    for route, method in known_routes():
        address = address_of(route, case)
        for asker in (client, program) if route.startswith("api/") else (client,):
            for body in SENT.get(route, [{}]):
                if method == "GET":
                    yield f"GET {route}", asker.get(address)
                else:
                    answer = asker.generic(method, address, _encoded(body), "application/x-www-form-urlencoded")
                    yield f"{method} {route} {body}", answer
    assert not Reading.objects.exists(), "nothing was answered on the way"


def _encoded(body: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in body.items())


def bare(response: Any) -> str:
    """Status, headers and body without what differs between any two cases."""
    headers = {name: value for name, value in response.headers.items() if name not in ("Set-Cookie", "Expires")}
    headers.pop("Content-Length", None)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    if headers.get("Content-Type") == "application/zip":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:  # what it holds: its checksums follow from ids and times
            body = b"\n".join(name.encode() + archive.read(name) for name in archive.namelist())
    text = f"{response.status_code} {sorted(headers.items())}\n{body.decode('latin-1')}"
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", text)
    text = re.sub(r"\b\d\d:\d\d(:\d\d)?\b|just now|\d+ (minute|hour)s? ago", "TIME", text)
    text = re.sub(r">[0-9a-f]{8}<|[Cc]ase [0-9a-f]{8}", ">ID<", text)
    return neutral(re.sub(r'csrfmiddlewaretoken\\" value=\\"[^"]+', "TOKEN", text))


@pytest.mark.django_db
def test_no_address_tells_a_reader_what_the_ai_said_before_the_blind_answer(champion: Any) -> None:
    seen: dict[str, list[tuple[str, str]]] = {}
    for decision, values in WORLDS.items():
        with transaction.atomic():
            for _ in range(3):
                PredictionFactory.create(decision=decision, image=stored_image(patient_key="P-1"), **values)
            opening.open_cases()
            seen[decision] = [(name, bare(response)) for name, response in walk()]
            transaction.set_rollback(True)
    first, *others = seen.values()
    assert len(first) > 100
    assert sum(text.startswith("200") for _, text in first) > 20, "much of it is open to a reader"
    for name, text in first:
        assert not [trace for trace in TRACES if trace in text], f"{name}: {text[:3000]}"
    for other in others:
        for (name, one), (_, two) in zip(first, other, strict=True):
            assert one.splitlines() == two.splitlines(), name
