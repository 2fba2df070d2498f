"""Draws by hash: cases, patients and clusters keep the side that they were given."""

from cataract.ml.statistics.draws import fraction, is_in_share


def test_a_key_is_drawn_the_same_for_all_time() -> None:
    """Values of earlier versions: another hash would move photos between the splits."""
    drawn = [fraction(key) for key in ("", "second:1", "ai-first:é:2")]
    assert drawn == [0.8894159948913374, 0.9610300786645664, 0.21498571462217356]
    chosen = [number for number in range(100) if is_in_share(f"photo {number}", 0.05)]
    assert chosen == [9, 22, 61, 67, 78, 82, 85, 89]


def test_the_ends_of_the_range() -> None:
    assert not is_in_share("a", 0.0) and is_in_share("a", 1.0)
    assert 0 <= fraction("a") < 1
