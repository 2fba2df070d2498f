"""Hidden checks look like any other case, come as often as the settings say, and make no label."""

import io
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from cataract.ml.statistics.draws import fraction
from predictions.photos import storage
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.cases.photos import photo_of
from review.labels.models import Label
from review.queue import claims, hidden_checks, policy
from review.reading import services, transitions
from tests.factories import EyeImageFactory, LabelFactory, PatientFactory, ReaderFactory, jpeg_bytes
from tests.record import lifted
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db
CHECKS = [ReviewCase.Kind.CONTROL, ReviewCase.Kind.REPEAT]


def read(reader: User, case: ReviewCase, answer: str = "cataract") -> Reading:
    assert claims.claim(case, reader)
    return services.store_blind_answer(case=case, reader=reader, answer=answer)


def read_long_ago(reader: User, days: float = 15) -> Reading:
    reading = read(reader, make_case("cataract"))
    with lifted():
        Reading.objects.filter(pk=reading.pk).update(blind_at=timezone.now() - timedelta(days=days))
    reading.refresh_from_db()
    return reading


@pytest.fixture
def only_controls(settings: Any) -> None:
    settings.REVIEW_CONTROL_RATE, settings.REVIEW_REPEAT_RATE = 1.0, 0.0
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0


@pytest.fixture
def only_repeats(settings: Any) -> None:
    settings.REVIEW_CONTROL_RATE, settings.REVIEW_REPEAT_RATE = 0.0, 1.0
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0


def test_a_control_goes_to_its_reader_only(only_controls: None) -> None:
    image, reader, other = LabelFactory.create().image, ReaderFactory.create(), ReaderFactory.create()
    make_case()
    case = services.claim_next(reader=reader)
    assert case is not None and case.kind == ReviewCase.Kind.CONTROL
    assert (case.image, case.only_for, case.known_answer) == (image, reader, "cataract")
    assert not policy.readable(other).filter(pk=case.pk).exists()
    with pytest.raises(transitions.Conflict):
        services.store_blind_answer(case=case, reader=other, answer="normal")


def test_a_control_ends_with_one_answer_shows_no_ai_and_makes_no_label(only_controls: None) -> None:
    image, reader = LabelFactory.create().image, ReaderFactory.create()
    make_case()
    case = services.claim_next(reader=reader)
    assert case is not None
    reading = services.store_blind_answer(case=case, reader=reader, answer="normal", unsure=True)
    case.refresh_from_db()
    assert case.status == ReviewCase.Status.RESOLVED
    assert reading.final_answer == "normal" and reading.ai_shown_at is None
    assert Label.objects.get(image=image).provenance == Label.Provenance.IMPORTED


def test_a_control_can_be_undone_and_answered_again(only_controls: None) -> None:
    LabelFactory.create()
    reader = ReaderFactory.create()
    make_case()
    case = services.claim_next(reader=reader)
    assert case is not None
    reading = services.store_blind_answer(case=case, reader=reader, answer="normal")
    services.undo_reading(reading=reading, reader=reader)
    services.store_blind_answer(case=case, reader=reader, answer="cataract")
    case.refresh_from_db()
    assert case.status == ReviewCase.Status.RESOLVED


def test_no_control_where_no_case_waits_or_the_reader_knows_the_photo(only_controls: None) -> None:
    reader = ReaderFactory.create()
    LabelFactory.create()
    assert hidden_checks.claim_if_drawn(reader) is None  # nothing waits, so a case out of nowhere would stand out
    with lifted():
        Label.objects.all().delete()
    LabelFactory.create(image__uploaded_by=reader)
    make_case()
    assert hidden_checks.claim_if_drawn(reader) is None


def test_asking_again_never_changes_the_draw(settings: Any) -> None:
    settings.REVIEW_CONTROL_RATE, settings.REVIEW_REPEAT_RATE = 0.5, 0.0
    for _ in range(8):
        make_case()
    LabelFactory.create()
    for _ in range(8):
        reader = ReaderFactory.create()
        first = hidden_checks.claim_if_drawn(reader)
        if first is not None:
            claims.release(first, reader)
        assert hidden_checks.claim_if_drawn(reader) is None
        assert ReviewCase.objects.filter(only_for=reader).count() == (first is not None)


def test_controls_come_as_often_as_the_setting_says(settings: Any) -> None:
    settings.REVIEW_CONTROL_RATE, settings.REVIEW_REPEAT_RATE = 0.04, 0.02
    draws = [fraction(f"check:{reader}:{done}") for reader in range(20) for done in range(500)]
    assert np.mean(np.array(draws) < settings.REVIEW_CONTROL_RATE) == pytest.approx(0.04, abs=0.006)


def test_a_repeat_comes_after_fourteen_days_once_and_mirrored(only_repeats: None) -> None:
    reader = ReaderFactory.create()
    read_long_ago(reader, days=13)
    make_case()
    assert hidden_checks.claim_if_drawn(reader) is None
    reading = read_long_ago(reader)
    case = services.claim_next(reader=reader)
    assert case is not None and case.kind == ReviewCase.Kind.REPEAT
    assert (case.image_id, case.known_answer, case.mirrored) == (reading.case.image_id, "cataract", True)
    assert (reading.case.image.eye, case.shown_eye) == ("OD", "OS")
    services.store_blind_answer(case=case, reader=reader, answer="normal")
    assert hidden_checks.claim_if_drawn(reader) is None


def test_a_reader_gets_no_repeat_of_what_another_read(only_repeats: None) -> None:
    read_long_ago(ReaderFactory.create())
    make_case()
    assert hidden_checks.claim_if_drawn(ReaderFactory.create()) is None


def test_the_photo_of_a_repeat_is_mirrored(only_repeats: None) -> None:
    reader = ReaderFactory.create()
    name, digest = storage.store(jpeg_bytes(3), suffix=".jpg")
    reading = read_long_ago(reader)
    EyeImage.objects.filter(pk=reading.case.image_id).update(stored_name=name, stored_sha256=digest)
    make_case()
    case = services.claim_next(reader=reader)
    assert case is not None
    original = ReviewCase.objects.get(pk=reading.case_id)

    def pixels(shown: ReviewCase) -> Any:
        return np.asarray(Image.open(io.BytesIO(photo_of(shown))), dtype=np.int16)

    assert np.abs(pixels(case) - pixels(original)[:, ::-1]).mean() < 2
    assert np.abs(pixels(case) - pixels(original)).mean() > 2


def test_the_other_photos_of_a_repeat_are_mirrored_with_it(only_repeats: None, client: Client) -> None:
    reader = ReaderFactory.create()
    name, digest = storage.store(jpeg_bytes(3), suffix=".jpg")
    reading = read_long_ago(reader)
    shown = {"stored_name": name, "stored_sha256": digest, "patient": PatientFactory.create()}
    EyeImage.objects.filter(pk=reading.case.image_id).update(eye="OD", **shown)
    fellow = EyeImageFactory.create(eye="OS", **shown)
    make_case()
    case = services.claim_next(reader=reader)
    assert case is not None and case.mirrored
    client.force_login(reader)
    page = " ".join(client.get(reverse("review:case", args=[case.pk])).content.decode().split())
    assert "OS</strong> left eye" in page and "Other photos of this patient (1)" in page
    assert page.count("Right eye, ") == 2 and "Left eye, " not in page, "the left eye, shown as a right one"
    address = reverse("review:other-photo", args=[case.pk, fellow.pk])
    answer = client.get(address).content
    assert answer == photo_of(case), "the same file, mirrored as the case is"


def test_a_check_looks_like_any_other_case(only_controls: None, client: Client) -> None:
    LabelFactory.create()
    reader = ReaderFactory.create()
    plain = make_case()
    assert claims.claim(plain, reader)
    client.force_login(reader)

    def page(case: ReviewCase) -> list[str]:
        answer = client.get(reverse("review:case", args=[case.pk]))
        assert answer.status_code == 200
        text = answer.content.decode().replace(str(case.pk), "PK")
        return [line for line in text.splitlines() if "csrf" not in line.lower()]

    before = page(plain)
    claims.release(plain, reader)
    check = services.claim_next(reader=reader)
    assert check is not None and check.kind in CHECKS
    plain_again = make_case()
    assert claims.claim(plain_again, reader)
    seen = page(check)
    differing = [(a, b) for a, b in zip(before, seen, strict=True) if a != b]
    assert all(any(char.isdigit() for char in a) for a, _ in differing), differing  # only how many wait may differ
    assert not any(word in "\n".join(seen).lower() for word in ("control", "repeat", "known"))
