"""Heat maps and other photos of the patient appear only when they can no longer influence the reader."""

from io import BytesIO
from pathlib import Path

import pytest
from django.test import Client
from PIL import Image

from cataract.ml.synthetic import render_eye
from predictions.answering import services as answering_services
from predictions.answering.models import Prediction
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.releases import services as releases_services
from predictions.releases import store
from review.cases.models import Reading, ReviewCase
from review.queue import opening, policy
from review.reading import services as reading_services
from tests.factories import AdjudicatorFactory, ReaderFactory
from tests.record import lifted
from tests.releases import make_tiny_release
from tests.review.makers import make_case
from tests.review.test_pages import logged_in, stored_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(tmp_path: Path) -> ReviewCase:
    """A synthetic eye, answered by a real release that is sure of nothing."""
    folder = make_tiny_release(tmp_path / "wide", band="wide")
    releases_services.make_champion(release=store.register_release(folder=folder), user=None, reason="For this test.")
    file = BytesIO()
    Image.fromarray(render_eye(3, opacity=1.0, size=320)).save(file, "JPEG")
    answering_services.upload_photo(
        data=file.getvalue(),
        user=ReaderFactory.create(username="sender"),
        source="upload",
        facts=PhotoFacts("P-1", "OD"),
    )
    opening.open_cases()
    return ReviewCase.objects.get()


def answer(client: Client, case: ReviewCase, said: str) -> str:
    address: str = client.post("/review/next/").headers["Location"]
    client.post(address, {"step": "blind", "answer": said})
    return address


def test_the_heat_map_comes_after_the_answer_and_only_to_those_who_are_told(case: ReviewCase) -> None:
    reader, judge = logged_in(ReaderFactory.create()), logged_in(AdjudicatorFactory.create())
    address = reader.post("/review/next/").headers["Location"]
    assert reader.get(address + "heat/").status_code == 403
    assert b"heat" not in reader.get(address).content
    said = "normal" if policy.ai_decision(case) == "cataract" else "cataract"
    reader.post(address, {"step": "blind", "answer": said})
    assert b"heat/" in reader.get(address).content
    heat = reader.get(address + "heat/")
    with Image.open(BytesIO(heat.content)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (320, 320))
    assert heat.headers["Cache-Control"] == "private, no-store"
    assert judge.get(address + "heat/").status_code == 403
    reading_services.undo_reading(reading=Reading.objects.get(), reader=Reading.objects.get().reader)
    assert reader.get(address + "heat/").status_code == 403, "the answer was taken back"


def test_other_photos_of_this_patient_only() -> None:
    fellow, stranger = stored_image(patient_key="P-7", eye="OS"), stored_image(patient_key="P-8")
    case = make_case("cataract", image=stored_image(patient_key="P-7"))
    client = logged_in(ReaderFactory.create())
    assert client.get(f"/review/cases/{case.pk}/photos/{fellow.pk}/").status_code == 403, "not held"
    address = client.post("/review/next/").headers["Location"]
    assert "Other photos of this patient (1)" in client.get(address).content.decode()
    assert client.get(f"{address}photos/{fellow.pk}/").content[:2] == b"\xff\xd8"
    assert client.get(f"{address}photos/{stranger.pk}/").status_code == 404
    assert client.get(f"{address}photos/{case.image_id}/").status_code == 404


def test_photos_that_were_read_already_are_shown_after_the_answer() -> None:
    visit = make_case("cataract", image=stored_image(patient_key="P-7"))
    reading_services.store_blind_answer(case=visit, reader=ReaderFactory.create(), answer="cataract")
    case = make_case("cataract", image=stored_image(patient_key="P-7"))
    client = logged_in(ReaderFactory.create())
    client.post(f"/review/cases/{case.pk}/claim/")
    address = f"/review/cases/{case.pk}/"
    assert "Other photos" not in client.get(address).content.decode()
    assert client.get(f"{address}photos/{visit.image_id}/").status_code == 404
    client.post(address, {"step": "blind", "answer": "normal"})
    assert "Other photos of this patient (1)" in client.get(address).content.decode()
    assert client.get(f"{address}photos/{visit.image_id}/").status_code == 200


def test_asking_for_a_reader_by_hand(champion: object) -> None:
    sender, other = ReaderFactory.create(username="sender"), ReaderFactory.create(username="other")
    image: EyeImage = stored_image(uploaded_by=sender)
    prediction = Prediction.objects.get(review_case=make_case("normal", image=image))
    ReviewCase.objects.all().delete()
    with lifted():
        Prediction.objects.update(needs_review=False, reasons=[], review_propensity=0.05)
    address = f"/review/request/{prediction.pk}/"
    assert logged_in(other).post(address).status_code == 404, "not theirs to see"
    client = logged_in(sender)
    assert client.get(address).status_code == 405
    assert "Ask a clinician" in client.get(f"/results/{prediction.pk}/").content.decode()
    for _ in range(2):
        page = client.post(address, follow=True).content.decode()
        assert "A clinician will read this photo" in page and "Ask a clinician" not in page
    case = ReviewCase.objects.get()
    assert (case.reasons, case.review_propensity) == (["requested"], 1.0)
