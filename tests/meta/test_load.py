"""manage.py load starts whole systems, and both places where uploads can be answered do answer them."""

import pytest
from django.core.management import CommandError, call_command

from cataract.ops import load


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_photos_are_answered_in_the_web_process_and_by_workers() -> None:
    _, web, _, celery = load.ways(1)
    assert celery.env["INFERENCE"] == "celery"
    found = load.measure(list(load.drawn_photos(8)), [web, celery], callers=2, rounds=1)
    assert [row.photos for row in found] == [6, 6]
    assert found[0].ratio == 1 and all(0 < row.p50_ms <= row.p95_ms < 30_000 and row.per_second > 0 for row in found)


@pytest.mark.parametrize("option", ["--callers=0", "--photos=100000", "--rounds=0", "--processes=0"])
def test_what_is_asked_for_is_bounded(option: str) -> None:
    with pytest.raises(CommandError, match="at least 1"):
        call_command("load", option)
