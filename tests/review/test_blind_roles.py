"""People with several roles: whoever is shown an answer about a photo, by whatever page, is not its blind reader.

Two worlds differ in one answer: the AI's, or the first reader's. A person who may read and has another role besides
opens every page of the system about the case. Where the two worlds show that person different bytes, the person must
have lost the right to read the case blind at that moment.
"""

import difflib
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from predictions.answering import final_results
from predictions.answering.models import Prediction
from review.cases.models import Reading, ReviewCase
from review.queue import opening, policy
from review.reading import services
from tests.factories import PredictionFactory, ReaderFactory, UserFactory
from tests.review.test_blindness import address_of, bare, known_routes
from tests.review.test_blindness import quiet as quiet  # a fixture
from tests.review.test_pages import stored_image

pytestmark = pytest.mark.django_db

OTHERS = ("screener", "adjudicator", "admin", "superuser")  # beside "reader"; an integrator sees what a screener sees
SEE_READINGS = ("auditor", "admin")  # the roles that can open what the first reader answered
# Counts and rates over all photos change with every answer and belong to nobody's photo.
SUMMARIES = (
    "review/agreement/", "review/acceptance/", "review/drift/", "api/v1/acceptance", "api/v1/system", "api/v1/drift",
    "notices/", "admin/training/predictions/livetest",
)  # fmt: skip
# Pages of the admin about accounts and the system: what they show differs from world to world, and no photo is there.
ELSEWHERE = ("admin/auth/", "admin/training/", "admin/cataract/", "admin/predictions/apitoken")
SEARCHES = ("?decision=cataract", "?q=P-1")


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0


def person(roles: tuple[str, ...]) -> User:
    named = [role for role in roles if role != "superuser"]
    user: User = UserFactory.create(username="both", roles=named)  # the same name in every world
    User.objects.filter(pk=user.pk).update(is_superuser="superuser" in roles, is_staff=True)
    return User.objects.get(pk=user.pk)


def differs_in_the_ai(answer: str) -> ReviewCase:
    """A case that waits for its first reader; the AI said `answer`."""
    prediction = PredictionFactory.create(
        decision=answer, image=stored_image(patient_key="P-1"), probability=0.9311 if answer == "cataract" else 0.0412
    )
    opening.open_cases()
    return ReviewCase.objects.get(prediction=prediction)


def differs_in_the_first_reading(answer: str) -> ReviewCase:
    """A case that waits for its second reader; the first one said `answer`, against the AI or unsure."""
    case = differs_in_the_ai("normal")
    first = ReaderFactory.create(username="first")
    services.claim_case(case=case, reader=first)
    row = services.store_blind_answer(case=case, reader=first, answer=answer, unsure=True)
    if not row.final_answer:
        services.store_final_answer(reading=row, answer=answer)
    case.refresh_from_db()
    assert case.status == ReviewCase.Status.SECOND
    return case


def admin_pages(case: ReviewCase) -> list[str]:
    """The admin's lists, searches, pages and histories of everything about the case."""
    rows: list[tuple[str, Any]] = [
        ("predictions_prediction", case.prediction_id),
        ("predictions_eyeimage", case.image_id),
        ("review_reviewcase", case.pk),
        *(("review_reading", reading.pk) for reading in Reading.objects.filter(case=case)),
        ("review_label", None),
        ("predictions_patient", case.image.patient_id),
    ]
    found = []
    for name, pk in rows:
        listing = reverse(f"admin:{name}_changelist")
        found += [listing, *(f"{listing}{search}" for search in SEARCHES)]
        if pk is not None:
            found += [reverse(f"admin:{name}_{page}", args=[pk]) for page in ("change", "history", "delete")]
    return found


def pages(case: ReviewCase) -> list[str]:
    routes = [
        route for route, method in known_routes() if method == "GET" and not route.startswith(SUMMARIES + ELSEWHERE)
    ]
    addresses = [address_of(route, case) for route in routes if "logout" not in route] + admin_pages(case)
    return list(dict.fromkeys(addresses))


def answers(roles: tuple[str, ...], world: Callable[[str], ReviewCase], answer: str) -> list[tuple[str, str, bool]]:
    """(page, what it shows, whether the person may still read the case blind), each page on its own."""
    seen = []
    case = world(answer)
    user = person(roles)
    client = Client()
    client.force_login(user)
    for address in pages(case):
        with transaction.atomic():
            response = client.get(address)
            may_read = policy.readable(user).filter(pk=case.pk).exists() and not policy.has_seen(case, user)
            text = re.sub(case.image.sha256[:12] + "[0-9a-f]*", "SHA256", bare(response))
            seen.append((address, re.sub(r"(prediction|reading|label) [0-9a-f]{8}", r"\1 ID", text), may_read))
            transaction.set_rollback(True)
    return seen


def difference(one: str, other: str) -> str:
    return "\n".join(list(difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0))[:20])


@pytest.mark.parametrize(
    ("roles", "world"),
    [(("reader", other), differs_in_the_ai) for other in OTHERS]
    + [(("reader", other), differs_in_the_first_reading) for other in SEE_READINGS],
)
def test_who_is_shown_an_answer_is_no_blind_reader(
    roles: tuple[str, ...], world: Callable[[str], ReviewCase], champion: Any
) -> None:
    worlds = []
    for answer in ("cataract", "normal"):
        with transaction.atomic():
            worlds.append(answers(roles, world, answer))
            transaction.set_rollback(True)
    open_pages = 0
    for (address, one, may_read), (_, other, may_read_too) in zip(*worlds, strict=True):
        open_pages += one.startswith("200")
        if one != other:
            assert not may_read and not may_read_too, (
                f"{'-'.join(roles)} is shown the answer on {address}:\n{difference(one, other)}"
            )
    assert open_pages > 15, "much of it is open to this person"


def test_a_result_that_people_gave_is_disclosed_even_where_the_ai_had_none(client: Client) -> None:
    prediction = PredictionFactory.create(decision="", image=stored_image())
    final_results.settle_by_people(image=prediction.image, answer="cataract", basis="single", is_final=True)
    user = UserFactory.create(roles=["reader", "auditor"])
    client.force_login(user)
    assert client.get(f"/results/{prediction.pk}/").status_code == 200
    assert Prediction.objects.get(pk=prediction.pk).disclosures.filter(user=user).exists()
