"""The shipped starter on real photos of other sources, and on photos that no automatic answer is right for."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.encoding.cover import cover
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.labels import Decision, Reason
from cataract.ml.photos.images import decode

STARTER = Path(__file__).resolve().parent.parent.parent / "cataract" / "starter"
pytestmark = pytest.mark.photos


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade.load(STARTER)


def some(folder: Path, count: int) -> list[Pixels]:
    """Every n-th photo below the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return [decode(path.read_bytes()) for path in paths[:: max(1, len(paths) // count)][:count]]


def automatic(cascade: Cascade, photos: Iterable[Pixels]) -> list[Outcome]:
    return [outcome for photo in photos if not (outcome := cascade.predict([photo])[0]).needs_review]


def test_near_infrared_photos_are_never_decided_alone(cascade: Cascade, eyes_other: Path) -> None:
    outcomes = [cascade.predict([photo])[0] for photo in some(eyes_other / "f-near-infrared", 46)]
    assert all(outcome.needs_review for outcome in outcomes)
    assert all(Reason.NO_COLOUR in outcome.reasons for outcome in outcomes if outcome.decision != Decision.UNGRADABLE)


def test_pictures_of_something_else_are_never_decided_alone(cascade: Cascade, eyes_other: Path) -> None:
    assert not automatic(cascade, some(eyes_other / "g-not-an-eye-photo", 130))


def test_a_healthy_eye_of_another_source_is_hardly_ever_called_a_cataract(cascade: Cascade, eyes_other: Path) -> None:
    healthy = [
        *some(eyes_other / "a-selfie-crops" / "normal", 86),
        *some(eyes_other / "c-web" / "normal", 40),
        *some(eyes_other / "d-web" / "normal", 20),
    ]
    answers = automatic(cascade, healthy)
    wrong = [outcome for outcome in answers if outcome.decision == Decision.CATARACT]
    assert len(answers) > 60 and len(wrong) <= 0.03 * len(answers)


def test_another_condition_is_seldom_closed_alone(cascade: Cascade, eyes_other: Path) -> None:
    others = [
        *some(eyes_other / "a-selfie-crops" / "red-eye", 23),
        *some(eyes_other / "b-small-crops" / "yellow-sclera", 45),
        *some(eyes_other / "e-web" / "conjunctivitis", 35),
    ]
    assert len(automatic(cascade, others)) <= 0.12 * len(others)


def screenshot(photo: Pixels) -> Pixels:
    """The photo on the black page of a phone, below its status line."""
    height, width = photo.shape[:2]
    shot = np.full((2 * max(height, width) + 60, width, 3), 12, dtype=np.uint8)
    shot[:14] = 90
    top = (len(shot) - height) // 2
    shot[top : top + height] = photo
    return shot


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (np.rot90, 0.95),
        (lambda photo: np.rot90(photo, 2), 0.95),
        (lambda photo: photo[:, ::-1], 0.85),
        (screenshot, 0.7),
    ],
    ids=["turned by 90 degrees", "turned by 180 degrees", "mirrored", "screenshot"],
)
def test_a_photo_that_was_turned_or_put_on_a_page_stays_automatic(
    cascade: Cascade, eyes: Path, change: Callable[[Pixels], Pixels], least: float
) -> None:
    sure = [photo for photo in some(eyes, 70) if automatic(cascade, [photo])]
    changed = automatic(cascade, [np.ascontiguousarray(change(photo)) for photo in sure])
    assert len(sure) > 30 and len(changed) >= least * len(sure)


def test_a_pupil_without_information_goes_to_a_person(cascade: Cascade, eyes: Path, eyes_other: Path) -> None:
    photos = [*some(eyes / "train" / "cataract", 40), *some(eyes_other / "c-web" / "normal", 20)]
    sure = [(photo, pupil) for photo in photos if (pupil := find_pupil(photo)) is not None and pupil.is_sure]
    covered = [cover(photo, pupil, outside=False) for photo, pupil in sure]
    assert len(covered) > 30 and len(automatic(cascade, covered)) <= 0.1 * len(covered)
