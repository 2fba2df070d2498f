"""The index of near-duplicates finds what an exhaustive search finds, and reads no photo for it."""

import os
import random
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cataract.ml.photos.duplicates import NEAR, band_probes, near
from predictions.photos.lookalikes import candidates_sql, find_lookalikes, near_duplicates
from predictions.photos.models import EyeImage
from tests.factories import EyeImageFactory

words = st.integers(0, 2**64 - 1)
bits = st.sets(st.integers(0, 63), max_size=2 * NEAR)


def hexed(word: int) -> str:
    return f"{word:016x}"


def flipped(word: int, places: set[int]) -> int:
    return word ^ sum(1 << place for place in places)


@given(word=words, places=st.sets(st.integers(0, 63), max_size=NEAR))
@example(word=0, places={15, 31, 30, 47, 46, 63})
def test_a_near_hash_has_a_band_in_common(word: int, places: set[int]) -> None:
    other = hexed(flipped(word, places))
    probes = band_probes([hexed(word)])
    assert any(other[4 * band : 4 * band + 4] in values for band, values in enumerate(probes))


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds=st.lists(words, min_size=1, max_size=3), data=st.data())
def test_the_index_finds_what_an_exhaustive_search_finds(seeds: list[int], data: Any) -> None:
    EyeImage.objects.all().delete()
    drawn = st.builds(lambda seed, places: hexed(flipped(seed, places)), st.sampled_from(seeds), bits)
    stored = data.draw(st.lists(drawn, max_size=20))
    asked = data.draw(st.lists(drawn, min_size=1, max_size=8))
    images = [EyeImageFactory.build(perceptual_hash=text) for text in stored]
    store(images)
    found = {stored[place] for place in near(asked, stored)}
    assert {photo.pk for photo in near_duplicates(asked)} == {
        image.pk for image in images if image.perceptual_hash in found
    }
    if images:
        alike = find_lookalikes(sha256=images[0].sha256, hashes=asked)
        assert alike.same == images[0]
        assert {*alike.twins, alike.same} == {*near_duplicates(asked), images[0]}


def store(images: list[EyeImage]) -> None:
    """Insert these rows beside one that was purged, with its site and cluster."""
    purged = {"status": "purged", "removed_at": timezone.now(), "stored_name": "", "eye": "", "may_train": False}
    model = EyeImageFactory.create(perceptual_hash="", **purged)
    for image in images:
        image.site, image.cluster, image.device, image.patient = model.site, model.cluster, None, None
    EyeImage.objects.bulk_create(images)


@pytest.mark.django_db
def test_a_photo_without_a_hash_is_near_to_none() -> None:
    store([])
    assert near_duplicates(["0" * 16]) == []


@pytest.mark.django_db
def test_it_reads_an_index_and_no_photo_where_the_database_can() -> None:
    draw = random.Random(0)
    store([EyeImageFactory.build(perceptual_hash=hexed(draw.getrandbits(64))) for _ in range(300)])
    sql, params = candidates_sql([hexed(draw.getrandbits(64)) for _ in range(8)])
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if not is_sqlite:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"{'EXPLAIN QUERY PLAN' if is_sqlite else 'EXPLAIN'} {sql}", params)
        plan = str(cursor.fetchall())
    scan = "USING INDEX image_band_" if is_sqlite else "Index Only Scan using image_band_"
    assert [plan.count(f"{scan}{number}") for number in range(4)] == [1] * 4, plan


@pytest.mark.services
def test_the_same_on_postgresql(postgres_url: str) -> None:
    """The other tests of this file, in a pytest run of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not postgresql"]
    env = {key: value for key, value in os.environ.items() if key != "DATA_DIR"} | {"DATABASE_URL": postgres_url}
    done = subprocess.run(
        command, cwd=django_settings.BASE_DIR, env=env, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
