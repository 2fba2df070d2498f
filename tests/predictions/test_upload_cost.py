"""What an upload costs the database: few queries, two write transactions, the same however many photos are stored."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cataract.core import tokens
from predictions.answering.models import Disclosure, Prediction
from predictions.batches import worker
from predictions.embeddings.models import Embedding
from predictions.photos.models import Cluster, EyeImage
from tests import photos
from tests.factories import UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)

AUDIT = 2  # entries of the audit log: that the photo was sent, and that its answer was shown
MOST = 12 + AUDIT  # queries for a photo of a patient who has photos already
MOST_OF_A_NEW_PATIENT = 15 + AUDIT  # its patient and its cluster are two more rows, and the site is asked for
TRANSACTIONS = ("BEGIN", "COMMIT")


@pytest.fixture
def client() -> Client:
    user = UserFactory.create(roles=("integrator",))
    _, key = tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(client: Client, seed: int, patient: str, **headers: str) -> Any:
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed))
    answer = client.post("/api/v1/predictions", {"patient": patient, "eye": "OD", "photo": photo}, headers=headers)
    assert answer.status_code == 201, answer.content
    return answer.json()


def count(captured: CaptureQueriesContext) -> tuple[int, int]:
    """How many statements read or wrote rows, and how many transactions there were around them."""
    statements = [query["sql"] for query in captured]
    begun = [text for text in statements if text.startswith("BEGIN")]
    return len([text for text in statements if not text.startswith(TRANSACTIONS)]), len(begun)


def written(captured: CaptureQueriesContext) -> list[str]:
    """The statements that wrote outside of a transaction."""
    alone, inside = [], False
    for query in captured:
        text = query["sql"]
        inside = (inside or text.startswith("BEGIN")) and not text.startswith("COMMIT")
        if not inside and text.startswith(("INSERT", "UPDATE", "DELETE")):
            alone.append(text)
    return alone


def test_an_upload_takes_few_queries_and_two_transactions(client: Client, champion: Any) -> None:
    first = send(client, 1, "P-1")
    with CaptureQueriesContext(connection) as captured:
        again = send(client, 2, "P-1")
    assert count(captured)[0] <= MOST and count(captured)[1] == 2 and not written(captured), listed(captured)
    with CaptureQueriesContext(connection) as captured:
        send(client, 3, "P-2")
    assert count(captured)[0] <= MOST_OF_A_NEW_PATIENT and count(captured)[1] == 2, listed(captured)
    with CaptureQueriesContext(connection) as captured:  # one more to look for the key, and one to store it
        send(client, 4, "P-1", **{"Idempotency-Key": "once"})
    assert count(captured)[0] <= MOST + 2 and count(captured)[1] == 2, listed(captured)

    stored = {str(image.pk): image for image in EyeImage.objects.select_related("patient")}
    assert stored[first["image"]["id"]].cluster_id == stored[again["image"]["id"]].cluster_id
    assert Prediction.objects.filter(status="done", disclosures__isnull=False).count() == 4
    assert Embedding.objects.count() == Disclosure.objects.count() == 4
    for answer in (first, again):  # it was answered from memory: the same as what is read from the database
        assert client.get(f"/api/v1/predictions/{answer['id']}").json() == answer


def test_a_file_of_a_batch_takes_as_few(client: Client, champion: Any) -> None:
    send(client, 1, "P-1")
    blobs = [SimpleUploadedFile(f"{seed}.jpg", jpeg_bytes(seed)) for seed in (2, 3)]
    answer = client.post("/api/v1/batches", {"photos": blobs, "patient": "P-1", "eye": "OD"})
    assert answer.status_code == 202, answer.content
    with CaptureQueriesContext(connection) as captured:
        assert not worker.run_batch(answer.json()["id"])
    files = [query["sql"] for query in captured if query["sql"].startswith('INSERT INTO "predictions_prediction"')]
    assert len(files) == 2
    begins = [place for place, query in enumerate(captured) if "predictions_embedding" in query["sql"]]
    of_one = list(captured)[begins[0] : begins[1]]  # from one answer to the next: all that one file takes
    queries = [query["sql"] for query in of_one if not query["sql"].startswith(TRANSACTIONS)]
    assert len(queries) <= MOST, "\n".join(queries)


def test_what_is_stored_does_not_change_what_an_upload_asks(client: Client, champion: Any) -> None:
    send(client, 1, "P-1")
    model = EyeImage.objects.get()
    with CaptureQueriesContext(connection) as captured:
        send(client, 2, "P-1")
    for number in range(300):
        model.pk, model.sha256, model.perceptual_hash = None, f"{number:064x}", f"{number * 2654435761:016x}"[:16]
        model.pk = EyeImage._meta.pk.get_default()
        model.save(force_insert=True)
    with CaptureQueriesContext(connection) as later:
        send(client, 3, "P-1")
    assert count(captured) == count(later), listed(later)


@pytest.mark.parametrize("settled", [True, False])
def test_two_copies_that_arrive_at_once_end_in_one_cluster(client: Client, champion: Any, settled: bool) -> None:
    original = photos.eye()
    copies = [photos.encode(original), photos.encode(original, "PNG"), photos.encode(original[:, ::-1])]
    together = threading.Barrier(len(copies))
    answers: list[Any] = []

    def upload(number: int) -> None:
        blob = SimpleUploadedFile("eye", copies[number])
        together.wait()
        try:
            patient = f"P-{number}" if settled else "P-1"  # three patients, or the same new one three times
            fields = {"patient": patient, "eye": "OD", "photo": blob}
            answers.append(client.post("/api/v1/predictions", fields))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(len(copies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * len(copies)
    assert Cluster.objects.count() == 1 and EyeImage.objects.filter(near_duplicate_of__isnull=False).count() == 2


def listed(captured: CaptureQueriesContext) -> str:
    return "\n".join(query["sql"][:160] for query in captured)


@pytest.mark.services
def test_the_same_on_postgresql(postgres_url: str) -> None:
    """The other tests of this file, in a pytest run of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not postgresql"]
    env = {key: value for key, value in os.environ.items() if key != "DATA_DIR"} | {"DATABASE_URL": postgres_url}
    done = subprocess.run(
        command, cwd=django_settings.BASE_DIR, env=env, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
