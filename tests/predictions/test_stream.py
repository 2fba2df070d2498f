"""The stream that is always read: drawn by hash before any answer, at a rate that no photo changes."""

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cataract.core import tokens
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.photos import stream
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from predictions.results.wording import describe
from review.cases.models import ReviewCase
from review.queue import opening, policy
from tests.factories import EyeImageFactory, PredictionFactory, ReaderFactory, UserFactory, jpeg_bytes

keys = st.text(min_size=1, max_size=20)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
rates = st.floats(0, 1)


@pytest.fixture(autouse=True)
def forget_last_week() -> Iterator[None]:
    stream._photos_of_last_week.cache_clear()
    yield
    stream._photos_of_last_week.cache_clear()


@pytest.fixture
def everyone(settings: Any) -> None:
    """Every patient is drawn, and no sure answer is read by the other draw."""
    settings.ALWAYS_READ_RATE, settings.AUDIT_RATE = 1.0, 1e-9


def caller_of(role: str) -> Client:
    _, key = tokens.create_token(user=UserFactory.create(roles=[role]), name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(caller: Client, seed: int) -> dict[str, Any]:
    photo = SimpleUploadedFile("eye.jpg", jpeg_bytes(seed))
    answer = caller.post("/api/v1/predictions", {"photo": photo, "eye": "OD", "patient": f"P-{seed}"})
    assert answer.status_code == 201, answer.json()
    found: dict[str, Any] = answer.json()
    return found


# The draw -------------------------------------------------------------------------------------------------------------
@given(keys, hashes, hashes, rates)
def test_all_photos_of_a_patient_are_drawn_or_none(key: str, one: str, two: str, rate: float) -> None:
    assert stream.is_drawn(patient_key=key, sha256=one, rate=rate) == stream.is_drawn(
        patient_key=key, sha256=two, rate=rate
    )


@given(keys, hashes, rates, rates)
def test_a_higher_rate_drops_nobody(key: str, sha256: str, one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert stream.is_drawn(patient_key=key, sha256=sha256, rate=low) <= stream.is_drawn(
        patient_key=key, sha256=sha256, rate=high
    )


def test_the_draw_is_the_same_for_all_time_and_has_its_rate() -> None:
    drawn = [number for number in range(20_000) if stream.is_drawn(patient_key=f"P-{number}", sha256="", rate=0.03)]
    assert drawn[:5] == [3, 20, 27, 106, 152] and 0.027 < len(drawn) / 20_000 < 0.033


@pytest.mark.django_db
def test_no_answer_has_a_part_in_the_draw(settings: Any) -> None:
    """The photos are drawn when they are stored, while nothing has answered them."""
    settings.ALWAYS_READ_RATE = 0.5
    for seed in range(12):
        facts = PhotoFacts(eye="OD", patient_key=f"P-{seed}")
        row = services.receive_photo(data=jpeg_bytes(seed), user=None, source="api", facts=facts).prediction
        assert row.status == "queued" and row.image.always_read_rate == 0.5
        assert row.image.always_read == stream.is_drawn(patient_key=f"P-{seed}", sha256="", rate=0.5)
        assert not row.image.always_read or row.image.split in ("test", "calibration")
    assert 0 < EyeImage.objects.always_read().count() < 12


# The rate of a week ---------------------------------------------------------------------------------------------------
MONDAY = datetime(2026, 3, 2, tzinfo=timezone.get_default_timezone())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("days_before", "photos", "rate"),
    [(1, 0, 0.03), (1, 100, 0.3), (7, 100, 0.3), (12, 100, 0.3), (1, 2000, 0.03), (3, 10, 1.0)],
)
def test_a_small_week_raises_the_rate_of_the_next(
    days_before: int, photos: int, rate: float, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALWAYS_READ_RATE, settings.ALWAYS_READ_WEEKLY = 0.03, 20
    imported = EyeImageFactory.create(source="import", created_at=MONDAY - timedelta(days=1))
    sent, place = MONDAY - timedelta(days=days_before), {"cluster": imported.cluster, "site": imported.site}
    EyeImage.objects.bulk_create(EyeImageFactory.build(created_at=sent, **place) for _ in range(photos))
    monkeypatch.setattr(timezone, "now", lambda: MONDAY + timedelta(days=2))
    assert stream.rate_of_week() == pytest.approx(rate)
    stream._photos_of_last_week.cache_clear()
    EyeImageFactory.create(**place, created_at=MONDAY + timedelta(hours=1))
    monkeypatch.setattr(timezone, "now", lambda: MONDAY + timedelta(days=6))
    assert stream.rate_of_week() == pytest.approx(rate), "what comes in during a week never changes its rate"


def test_the_weekly_minimum_holds_and_biases_nothing(settings: Any) -> None:
    """Forty weeks of small and large clinics: the AI is worse on what it is sure of than it thinks."""
    settings.ALWAYS_READ_RATE, settings.ALWAYS_READ_WEEKLY = 0.03, 20
    rng = np.random.default_rng(5)
    estimates, sizes, full = [], [], []
    for clinic in range(40):
        usual, volume, hits = int(rng.integers(60, 700)), 0, []
        for week in range(40):
            rate, volume = stream.rate_after(volume), int(usual * rng.uniform(0.8, 1.25))
            truth, p = rng.random(volume) < 0.15, rng.random(volume)
            called = np.where(truth, p > 0.1, p > 0.95)
            drawn = np.array(
                [stream.is_drawn(patient_key=f"{clinic}:{week}:{n}", sha256="", rate=rate) for n in range(volume)]
            )
            hits += list(called[drawn & truth])
            if week:
                sizes.append(int(drawn.sum()))
        estimates.append(float(np.mean(hits)))
        full.append(len(hits))
    assert np.mean(np.array(sizes) >= 20) > 0.93
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - 0.9) < 3 * error < 0.02


# What is done with them -----------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.usefixtures("everyone")
def test_a_sure_answer_of_the_stream_is_provisional_and_read_blind(champion: Any, settings: Any) -> None:
    settings.REVIEW_AI_FIRST_RATE = 1.0
    answer = send(caller_of("integrator"), 1)
    assert answer["reasons"] == ["always_read"] and answer["needs_review"] and answer["state"] == "provisional"
    row = Prediction.objects.get()
    assert row.image.always_read and row.review_propensity == 1
    opening.open_cases()
    case, reader = ReviewCase.objects.get(), Client()
    reader.force_login(ReaderFactory.create())
    page = reader.post("/review/next/", follow=True).content.decode()
    assert str(case.pk) in page and "always read" not in page and row.get_decision_display() not in page


@pytest.mark.django_db
@pytest.mark.usefixtures("everyone")
def test_a_refused_photo_of_the_stream_is_read_too(champion: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (320, 320)).save(file, "JPEG")
    row = services.upload_photo(data=file.getvalue(), user=None, source="api")
    assert row.decision == "ungradable" and row.reasons[-1] == "always_read" and row.image.always_read


@pytest.mark.django_db
def test_an_import_is_never_drawn(settings: Any) -> None:
    settings.ALWAYS_READ_RATE = 1.0
    image = EyeImageFactory.create(source="import")
    assert not image.always_read and image.always_read_rate is None


def test_the_stream_waits_in_one_band_whatever_the_ai_said() -> None:
    said: tuple[list[str], ...] = ([], ["uncertain"], ["disagreement"], ["ungradable", "quality"])
    assert len({policy.priority_of([*reasons, "always_read"]) for reasons in said}) == 1


@pytest.mark.django_db
def test_draws_are_shown_as_answers_not_as_doubts() -> None:
    sure = PredictionFactory.create(decision="normal", reasons=["always_read"])
    doubtful = PredictionFactory.create(decision="normal", reasons=["uncertain", "always_read"])
    assert describe(sure).headline == "No sign of cataract in this photo. Checked for cataract only."
    assert describe(doubtful).headline == "Needs a clinician." and "always read" in " ".join(describe(doubtful).reasons)
