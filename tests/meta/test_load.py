"""manage.py load starts whole systems, and both places where uploads can be answered do answer them."""

import itertools

import pytest
from django.core.management import CommandError, call_command

from cataract.ml.photos import duplicates, images
from cataract.ops import load


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_photos_are_answered_in_the_web_process_and_by_workers() -> None:
    _, web, _, celery, *_ = load.ways(1)
    assert celery.env["INFERENCE"] == "celery"
    found = load.measure(list(load.drawn_photos(8)), [web, celery], callers=2, rounds=1)
    assert [row.photos for row in found] == [6, 6]
    assert found[0].ratio == 1 and all(0 < row.p50_ms <= row.p95_ms < 30_000 and row.per_second > 0 for row in found)


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_sustained_load_is_measured_window_by_window() -> None:
    found = load.sustain(load.ways(1)[1], minutes=0.5, callers=2, window=10)
    assert [row.number for row in found] == [1, 2, 3]
    assert all(row.photos > 0 and row.per_second == row.photos / 10 and row.p50_ms <= row.p95_ms for row in found)


def test_the_photos_of_a_sustained_load_are_no_copies_of_each_other() -> None:
    photos = list(itertools.islice(load.varied_photos(), 60))
    hashes = [duplicates.dihedral_hashes(images.decode(photo)) for photo in photos]
    assert len(set(photos)) == 60 and duplicates.group(hashes) == list(range(60))


@pytest.mark.parametrize("option", ["--minutes=1", "--callers=0", "--photos=100000", "--rounds=0", "--processes=0"])
def test_what_is_asked_for_is_bounded(option: str) -> None:
    with pytest.raises(CommandError, match="at least"):
        call_command("load", option)
