"""People with several roles: whoever is shown an answer about a photo, by whatever page, is not its blind reader.

Two worlds differ in one answer: the AI's, or the first reader's. A person who may read and has another role besides,
of every pair of roles, opens the pages of the system about the case. Where the two worlds show that person different
bytes, the person must have lost the right to read the case blind at that moment.
"""

import difflib
import io
import os
import re
from collections.abc import Callable, Collection
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import transaction
from django.test import Client
from django.urls import reverse
from PIL import Image

from predictions.answering import final_results
from predictions.answering.models import Prediction
from predictions.answering.services import disclose, upload_photo
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.queue import opening, policy
from review.reading import services
from tests.factories import PredictionFactory, ReaderFactory, UserFactory, jpeg_bytes
from tests.record import lifted
from tests.review.test_blindness import address_of, bare, known_routes
from tests.review.test_blindness import quiet as quiet  # a fixture
from tests.review.test_pages import stored_image

pytestmark = pytest.mark.django_db

READS = ("reader", "adjudicator")
OTHERS = ("screener", "integrator", "auditor", "admin", "staff", "superuser")
PAIRS = [(reads, other) for reads in READS for other in OTHERS] + [READS]
EVERY_PAGE = "BLIND_WALK" in os.environ  # as in `make faults`: all pairs are asked for every page
# Counts and rates over all photos change with every answer and belong to nobody's photo.
SUMMARIES = (
    "metrics", "review/agreement/", "review/acceptance/", "review/drift/", "api/v1/acceptance", "api/v1/system",
    "api/v1/drift", "notices/", "overview/", "status/", "admin/training/predictions/livetest",
)  # fmt: skip
# Pages of the admin about accounts and the system: what they show differs from world to world, and no photo is there.
ELSEWHERE = ("accounts/", "admin/auth/", "admin/training/", "admin/cataract/", "admin/predictions/apitoken")
SEARCHES = ("?decision=cataract", "?q=P-1")


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0


def person(roles: tuple[str, ...]) -> User:
    named = [role for role in roles if role not in ("staff", "superuser")]
    user: User = UserFactory.create(username="both", roles=named)  # the same name in every world
    is_staff = not {"staff", "superuser", "admin", "auditor"}.isdisjoint(roles)
    User.objects.filter(pk=user.pk).update(is_superuser="superuser" in roles, is_staff=is_staff)
    return User.objects.get(pk=user.pk)


def differs_in_the_ai(answer: str) -> ReviewCase:
    """A case that waits for its first reader; the AI said `answer`, of another shot of the eye and of a copy too.

    Where an answer about one of the three is shown, none of them may still be read blind.
    """
    values: dict[str, Any] = {"decision": answer, "probability": 0.9311 if answer == "cataract" else 0.0412}
    photo = stored_image(patient_key="P-1")
    shot = stored_image(patient_key="P-1", cluster=photo.cluster)
    copy = stored_image(patient_key="P-2", cluster=photo.cluster, near_duplicate_of=photo, eye="OS")
    predictions = [PredictionFactory.create(image=image, **values) for image in (photo, shot, copy)]
    opening.open_cases()
    return ReviewCase.objects.get(prediction=predictions[0])


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


def answers(
    roles: tuple[str, ...], world: Callable[[str], ReviewCase], answer: str, only: Collection[int] | None
) -> list[tuple[str, str, bool]]:
    """(page, what it shows, whether the person may still read a photo of the eye blind), each page on its own.

    only: the places of the pages to ask for; None for every page.
    """
    seen = []
    case = world(answer)
    cases = ReviewCase.objects.filter(image__cluster=case.image.cluster)
    hashes = "|".join(f"{sha256[:12]}[0-9a-f]*" for sha256 in cases.values_list("image__sha256", flat=True))
    user = person(roles)
    client = Client()
    client.force_login(user)
    for place, address in enumerate(pages(case)):
        if only is not None and place not in only:
            continue
        with transaction.atomic():
            response = client.get(address)
            may_read = any(not policy.has_seen(each, user) for each in policy.readable(user).filter(pk__in=cases))
            text = re.sub(hashes, "SHA256", bare(response))
            seen.append((address, re.sub(r"(prediction|reading|label) [0-9a-f]{8}", r"\1 ID", text), may_read))
            transaction.set_rollback(True)
    return seen


def difference(one: str, other: str) -> str:
    return "\n".join(list(difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0))[:20])


def check(
    roles: tuple[str, ...], world: Callable[[str], ReviewCase], only: Collection[int] | None = None
) -> tuple[set[int], int]:
    """Compare two worlds; return the places of the pages that differ or are forbidden, and how many are open."""
    worlds = []
    for answer in ("cataract", "normal"):
        with transaction.atomic():
            worlds.append(answers(roles, world, answer, only))
            transaction.set_rollback(True)
    telling, open_pages = set(), 0
    for place, ((address, one, may_read), (_, other, may_read_too)) in enumerate(zip(*worlds, strict=True)):
        open_pages += one.startswith("200")
        if one != other:
            assert not may_read and not may_read_too, (
                f"{'-'.join(roles)} is shown the answer on {address}:\n{difference(one, other)}"
            )
        if one != other or one.startswith("403"):
            telling.add(place)
    return telling, open_pages


@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", [differs_in_the_ai, differs_in_the_first_reading])
def test_who_is_shown_an_answer_is_no_blind_reader(world: Callable[[str], ReviewCase], champion: Any) -> None:
    """A superuser is asked for every page; the pairs of roles for the pages that tell one, or are forbidden."""
    telling, open_pages = check(("reader", "superuser"), world)
    assert open_pages > 80 and len(telling) > 5
    for roles in PAIRS:
        check(roles, world, None if EVERY_PAGE else telling)


def test_a_screener_who_reads_is_asked_for_every_page(champion: Any) -> None:
    assert check(("reader", "screener"), differs_in_the_ai)[1] > 15


@pytest.mark.parametrize("query", ["decision=cataract", "state=waiting", "needs_review=true", "answer=cataract"])
def test_a_list_chosen_by_answers_leaves_out_what_may_be_read_blind(query: str, client: Client) -> None:
    case = differs_in_the_ai("cataract")
    user = person(("reader", "admin"))
    client.force_login(user)
    page = client.get(f"/uploads/?{query}").content.decode()
    assert "left out" in page
    assert str(case.image_id) not in page
    assert client.get(f"/api/v1/predictions?{query}").json()["results"] == []
    assert policy.readable(user).filter(pk=case.pk).exists()
    client.get(f"/results/{case.prediction_id}/")  # now it is no secret
    if query in ("decision=cataract", "state=waiting"):
        assert str(case.image_id) in client.get(f"/uploads/?{query}").content.decode()


@pytest.mark.parametrize("patient", ["P-1", "P-2"])
def test_uploading_a_cases_own_photo_ends_blindness(patient: str, client: Client, champion: Any) -> None:
    """The photo itself, or a smaller copy of it, is sent under another key; the case may not be read blind any more."""
    original = jpeg_bytes(5, size=400)
    colleague, both = UserFactory.create(roles=["screener"]), person(("reader", "screener"))
    stored = upload_photo(data=original, user=colleague, source="upload", facts=PhotoFacts(patient_key="P-1", eye="OD"))
    with lifted():
        Prediction.objects.filter(pk=stored.pk).update(needs_review=True)
    opening.open_cases()
    case = ReviewCase.objects.get(prediction=stored)
    assert policy.readable(both).filter(pk=case.pk).exists()
    client.force_login(both)
    small = io.BytesIO()
    Image.open(io.BytesIO(original)).resize((300, 300)).save(small, "JPEG", quality=80)
    sent = {"photo": ContentFile(small.getvalue(), "copy.jpg"), "patient_key": patient, "eye": "OD", "key": uuid4()}
    assert client.post("/upload/", sent).status_code in (200, 302, 303)
    assert EyeImage.objects.filter(uploaded_by=both, cluster=case.image.cluster).exists()
    assert not policy.readable(both).filter(pk=case.pk).exists() and policy.has_seen(case, both)


def test_two_photos_of_one_eye_are_not_claimed_together(client: Client) -> None:
    case = differs_in_the_ai("normal")
    other_eye = stored_image(patient_key="P-1", cluster=case.image.cluster, eye="OS")
    PredictionFactory.create(image=other_eye, decision="normal")
    opening.open_cases()
    reader = ReaderFactory.create()
    current = services.claim_next(reader=reader)
    assert current is not None
    ahead = services.claim_ahead(case=current, reader=reader)
    eyes = [(each.image.eye, each.image.patient_id) for each in (current, *ahead)]
    assert len(set(eyes)) == len(eyes)


def test_an_answer_after_another_photo_of_the_eye_was_shown_is_not_blind() -> None:
    case = differs_in_the_ai("normal")
    reader = ReaderFactory.create()
    services.claim_case(case=case, reader=reader)
    shot = Prediction.objects.filter(image__patient__key="P-1").exclude(pk=str(case.prediction_id)).get()
    disclose(predictions=[shot], user=reader)
    assert services.store_blind_answer(case=case, reader=reader, answer="normal").ai_shown_first


def test_a_result_that_people_gave_is_disclosed_even_where_the_ai_had_none(client: Client) -> None:
    prediction = PredictionFactory.create(decision="", image=stored_image())
    final_results.settle_by_people(image=prediction.image, answer="cataract", basis="single", is_final=True)
    user = UserFactory.create(roles=["reader", "auditor"])
    client.force_login(user)
    assert client.get(f"/results/{prediction.pk}/").status_code == 200
    assert Prediction.objects.get(pk=prediction.pk).disclosures.filter(user=user).exists()
