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
from predictions.photos.models import Cluster, EyeImage, Split
from predictions.sites.services import ensure_patient
from tests.factories import SiteFactory

pytestmark = pytest.mark.django_db(transaction=True)

_number = itertools.count()
_far_apart = st.integers(0, 2**64 - 1)


def arrive(word: int, patient: str = "", forced: str | None = None) -> EyeImage:
    """Store a photo whose hash is `word`, as the services do."""
    sha256 = f"{next(_number):064x}"
    site = SiteFactory.create()
    with transaction.atomic():
        row = ensure_patient(site=site, key=patient)
        cluster, twin = clusters.assign_cluster(
            sha256=sha256, hashes=[f"{word:016x}"], patient=row, forced_split=forced
        )
        return EyeImage.objects.create(
            sha256=sha256, stored_sha256=sha256, stored_name=sha256, format="JPEG", width=1, height=1, size=1,
            perceptual_hash=f"{word:016x}", site=site, patient=row, cluster=cluster,
            split=clusters.split_of(cluster, forced_split=forced), near_duplicate_of=twin, source="import",
        )  # fmt: skip


def assert_no_leak(photos: Sequence[EyeImage]) -> None:
    rows = list(EyeImage.objects.filter(pk__in=[photo.pk for photo in photos]))
    for one, other in itertools.combinations(rows, 2):
        near = is_near([one.perceptual_hash], [other.perceptual_hash])
        same_patient = one.patient_id is not None and one.patient_id == other.patient_id
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
