"""The report of a live test stays quick where a test is large: few queries, however many answers it has."""

import os
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import Cluster, EyeImage
from predictions.releases.models import LiveTest, Release
from predictions.shadow.models import ShadowAnswer
from review.labels.models import Label
from tests.factories import PatientFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)


def like(row: Any, **values: Any) -> Any:
    """A copy of a row with a new id."""
    kept = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    new = type(row)(**{**kept, "id": None, **values})
    new.id = row._meta.pk.get_default()
    return new


def answer_many(test: LiveTest, number: int, *, first: int = 0) -> None:
    """That many photos of as many patients, answered by both; every tenth has a label."""
    model = services.upload_photo(
        data=jpeg_bytes(1 + first, size=160), user=None, source="api", facts=PhotoFacts(patient_key="P")
    )
    assert model.image is not None
    clusters = Cluster.objects.bulk_create(Cluster(split="train") for _ in range(number))
    images = [
        like(
            model.image,
            cluster_id=cluster.pk,
            sha256=f"{first + n:064x}",
            patient=PatientFactory.create(key=f"P-{first + n}"),
        )
        for n, cluster in enumerate(clusters)
    ]
    EyeImage.objects.bulk_create(images, batch_size=500)
    answers = [
        like(model, image_id=image.pk, decision=("cataract", "normal")[n % 2], probability=n % 97 / 96)
        for n, image in enumerate(images)
    ]
    Prediction.objects.bulk_create(answers, batch_size=500)
    shadow = [
        ShadowAnswer(
            test=test,
            prediction=answer,
            decision="cataract" if n % 7 else "normal",
            probability=n % 89 / 88,
            needs_review=n % 5 == 0,
            timings={"total": 20.0 + n % 10, "trunk": 12.0},
        )
        for n, answer in enumerate(answers)
    ]
    ShadowAnswer.objects.bulk_create(shadow, batch_size=500)
    Label.objects.bulk_create(
        Label(image=image, answer=("normal", "cataract")[n % 2], provenance="blind", may_train=True)
        for n, image in enumerate(images)
        if n % 10 == 0
    )


@pytest.mark.parametrize("kind", ["shadow", "ab"])
def test_the_page_of_a_large_test_asks_the_database_as_often_as_that_of_a_small_one(
    champion: Release, client: Client, kind: str
) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    test = LiveTest.objects.create(
        kind=kind,
        challenger=champion,
        champion=champion,
        share=0.5 if kind == "ab" else None,
        photos=20_000,
        reason="how long the report takes",
        started_at=timezone.now(),
    )
    counts: list[int] = []
    first = 0
    for number in (20, int(os.environ.get("LIVE_ANSWERS", "100"))):  # 20000 to time it
        answer_many(test, number, first=first)
        first += number
        started = time.process_time()
        with CaptureQueriesContext(connection) as asked:
            page = client.get(f"/admin/training/livetestreview/{test.pk}/change/")
        print(f"{kind}, {first} answers: {len(asked)} queries, {time.process_time() - started:.2f} s of the processor")
        assert page.status_code == 200 and page.context["report"]["photos"] >= first
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 14, "one of them is the entry in the audit log"
