"""The background sweep of the queue."""

from io import BytesIO

import pytest
from django.conf import settings
from PIL import Image

from predictions.photos import storage
from review.cases.models import ReviewCase
from review.queue import worker
from tests.factories import PredictionFactory

pytestmark = pytest.mark.django_db


def test_the_sweep_opens_cases_and_prepares_their_photos() -> None:
    file = BytesIO()
    Image.new("RGB", (64, 48), "grey").save(file, "JPEG")
    name, _ = storage.store(file.getvalue(), suffix=".jpg")
    PredictionFactory.create(image__stored_name=name)
    PredictionFactory.create()  # its file is missing: the case is opened anyway
    assert worker.sweep() == (2, 0)
    assert ReviewCase.objects.count() == 2
    assert len(list((settings.PHOTO_DIR / "derived").rglob("*-view.jpg"))) == 1
    assert worker.sweep() == (0, 0)
