"""The made-up database: it holds what was asked for, names no file, and never stands among real photos."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from tests.factories import EyeImageFactory

pytestmark = pytest.mark.django_db


def test_it_makes_what_was_asked_for_and_may_be_repeated() -> None:
    out = StringIO()
    for seed in (1, 2):
        call_command("fill", "300", seed=seed, stdout=out)
    assert Prediction.objects.count() == 600 and EyeImage.objects.count() == 420
    assert "300 of 300 predictions" in out.getvalue()
    open_cases = ReviewCase.objects.filter(status__in=ReviewCase.OPEN)
    assert open_cases.exists() and Reading.objects.exists() and Label.objects.training().exists()
    assert not EyeImage.objects.exclude(stored_name__startswith="filled/").exists()


def test_a_database_with_photos_is_never_filled() -> None:
    EyeImageFactory.create()
    with pytest.raises(CommandError, match="holds photos"):
        call_command("fill", "10")
    assert EyeImage.objects.count() == 1


def test_production_is_never_filled(settings: object) -> None:
    settings.PRODUCTION = True  # type: ignore[attr-defined]
    with pytest.raises(CommandError, match="production"):
        call_command("fill", "10")
