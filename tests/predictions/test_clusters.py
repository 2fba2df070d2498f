"""A photo and its near-copy are never on two sides of an evaluation."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cataract.ml.photos.duplicates import NEAR, is_near
from predictions.photos import clusters
from predictions.photos.lookalikes import near_duplicates
from predictions.photos.models import Cluster, EyeImage, Split
from predictions.sites.models import Patient
from tests.factories import EyeImageFactory, PatientFactory

pytestmark = pytest.mark.django_db(transaction=True)

_number = itertools.count()
_far_apart = st.integers(0, 2**64 - 1)


def arrive(word: int, patient: str = "", forced: str | None = None) -> EyeImage:
    """Store a photo whose hash is `word`, as the services do."""
    sha256 = f"{next(_number):064x}"
    with transaction.atomic():
        of = patient_of(patient) if patient else None
        twins = near_duplicates([f"{word:016x}"])
        earlier = None if of is None else EyeImage.objects.filter(patient=of).order_by("?").first()
        cluster = clusters.assign_cluster(sha256=sha256, related=[*twins, earlier], forced_split=forced)
        return EyeImageFactory.create(
            sha256=sha256, perceptual_hash=f"{word:016x}", patient=of, cluster=cluster, source="import",
            split=clusters.split_of(cluster, forced_split=forced), near_duplicate_of=twins[0] if twins else None,
        )  # fmt: skip


def patient_of(key: str) -> Patient:
    found: Patient = PatientFactory.create(key=key)
    return found


def move(photo: EyeImage, patient: str, *, is_file_lost: bool = False) -> None:
    """Give a photo to another patient, as a correction does."""
    with transaction.atomic():
        hashes = None if is_file_lost else [photo.perceptual_hash]
        clusters.move_to_patient(photo, patient=patient_of(patient), hashes=hashes)


def assert_no_leak(photos: Sequence[EyeImage]) -> None:
    rows = list(EyeImage.objects.filter(pk__in=[photo.pk for photo in photos]))
    for one, other in itertools.combinations(rows, 2):
        near = is_near([one.perceptual_hash], [other.perceptual_hash])
        same_patient = one.patient_id and one.patient_id == other.patient_id
        if near or same_patient:
            assert one.cluster_id == other.cluster_id
            used = {one.split, other.split} - {Split.EXCLUDED}
            assert len(used) <= 1
    for row in rows:
        assert row.split in (row.cluster.split, Split.EXCLUDED)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_order_of_arrival_leaks(data: Any) -> None:
    EyeImage.objects.all().delete()
    Cluster.objects.all().delete()
    seeds = data.draw(st.lists(_far_apart, min_size=1, max_size=3))
    photos = []
    for _ in range(data.draw(st.integers(2, 12))):
        flips = data.draw(st.sets(st.integers(0, 63), max_size=2 * NEAR))
        word = data.draw(st.sampled_from(seeds))
        for bit in flips:
            word ^= 1 << bit
        patient = data.draw(st.sampled_from(["", "", "A", "B"]))
        photos.append(arrive(word, patient, data.draw(st.sampled_from([None, None, "train", "test"]))))
    assert_no_leak(photos)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_sequence_of_uploads_and_corrections_leaks_or_moves_a_photo_to_another_side(data: Any) -> None:
    EyeImage.objects.all().delete()
    Cluster.objects.all().delete()
    seeds = data.draw(st.lists(_far_apart, min_size=1, max_size=3))
    photos: list[EyeImage] = []
    sides: dict[Any, set[str]] = {}
    for _ in range(data.draw(st.integers(3, 14))):
        if photos and data.draw(st.booleans()):
            photo = data.draw(st.sampled_from(photos))
            photo.refresh_from_db()
            key = data.draw(st.sampled_from("ABC"))
            if key != photo.patient_key:
                move(photo, key, is_file_lost=data.draw(st.booleans()))
        else:
            word = data.draw(st.sampled_from(seeds))
            for bit in data.draw(st.sets(st.integers(0, 63), max_size=2 * NEAR)):
                word ^= 1 << bit
            forced = data.draw(st.sampled_from([None, "train", "test", "calibration"]))
            photos.append(arrive(word, data.draw(st.sampled_from(["", "A", "B", "C"])), forced))
        for row in EyeImage.objects.all():
            sides.setdefault(row.pk, set()).add(row.split)
        assert_no_leak(photos)
    for seen in sides.values():
        assert len(seen - {Split.EXCLUDED}) <= 1, "a photo was on two sides"


def test_a_photo_that_goes_to_a_patient_of_the_other_side_is_left_out_and_those_who_stay_keep_theirs() -> None:
    stays, goes = arrive(0, "A", forced="test"), arrive(2**63 - 1, "A")
    other = arrive(2**32 - 1, "B", forced="train")
    move(goes, "B")
    for row in (stays, goes, other):
        row.refresh_from_db()
    assert (stays.split, goes.split, other.split) == ("test", "excluded", "train")
    assert goes.cluster_id == other.cluster_id != stays.cluster_id
    assert goes.patient == other.patient


def test_a_photo_that_goes_to_a_new_patient_keeps_its_side_in_a_cluster_of_its_own() -> None:
    stays, goes = arrive(0, "A", forced="test"), arrive(2**63 - 1, "A")
    move(goes, "new")
    goes.refresh_from_db()
    assert goes.split == goes.cluster.split == "test" and goes.cluster_id != stays.cluster_id
    move(stays, "other")
    stays.refresh_from_db()
    assert stays.split == "test" and Cluster.objects.count() == 2, "its cluster went with it"


def test_a_near_copy_of_a_photo_that_stays_takes_its_cluster_along() -> None:
    stays, goes = arrive(0, "A", forced="train"), arrive(1, "A")
    other = arrive(2**64 - 1, "B", forced="test")
    move(goes, "B")
    for row in (stays, goes, other):
        row.refresh_from_db()
    assert stays.cluster_id == goes.cluster_id == other.cluster_id
    assert (stays.split, goes.split, other.split) == ("excluded", "excluded", "test")
    assert goes.near_duplicate_of == stays


def test_a_bridge_joins_two_splits_and_the_test_side_stays() -> None:
    training = arrive(0, "A", forced="train")
    test = arrive(2**64 - 1, "B", forced="test")
    bridge = arrive(0, "B")
    for row in (training, test, bridge):
        row.refresh_from_db()
    assert training.cluster_id == test.cluster_id == bridge.cluster_id
    assert (test.split, training.split, bridge.split) == ("test", "excluded", "test")
    assert bridge.near_duplicate_of == training and Cluster.objects.count() == 1


def test_a_photo_that_trained_the_champion_never_tests() -> None:
    arrive(0, "A", forced="test")
    assert arrive(2**63, "A", forced="train").split == "excluded"


def test_the_split_of_a_founder_is_its_own_and_near_the_promised_shares() -> None:
    drawn = [clusters.draw_split(f"{n:064x}") for n in range(5000)]
    assert drawn[:5] == ["train", "calibration", "train", "calibration", "train"], "as in earlier versions"
    assert drawn == [clusters.draw_split(f"{n:064x}") for n in range(5000)]
    assert abs(drawn.count("train") / 5000 - 0.6) < 0.03 and abs(drawn.count("test") / 5000 - 0.2) < 0.03
