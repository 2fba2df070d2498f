"""The photos on which the two releases differ."""

from collections.abc import Sequence
from typing import Any

from training.change_control.paired import Photo, is_right
from training.change_control.verdicts import SINCE, TEST


def flips(photos: Sequence[Photo], *, since: Sequence[Photo] = ()) -> list[dict[str, Any]]:
    """Every photo whose decision changes, right to wrong first; a photo of both sets appears once."""
    order = {"right_to_wrong": 0, "wrong_to_right": 1, "other": 2}
    changed = {
        photo.image: {
            "image": photo.image,
            "on": on,
            "truth": photo.truth,
            "champion": photo.champion.decision,
            "challenger": photo.challenger.decision,
            "champion_probability": photo.champion.probability,
            "challenger_probability": photo.challenger.probability,
            "kind": _kind(photo),
            "seen": bool(photo.seen_by),
        }
        for on, of in ((SINCE, since), (TEST, photos))
        for photo in of
        if photo.champion.decision != photo.challenger.decision
    }
    return sorted(changed.values(), key=lambda flip: (order[flip["kind"]], flip["image"]))


def mcnemar(photos: Sequence[Photo]) -> dict[str, Any]:
    """Exact two-sided McNemar test (binomial) on the photos that exactly one of the two decides correctly."""
    from scipy.stats import binomtest  # takes a second, and every process imports this module

    worse = sum(is_right(photo, "champion") and not is_right(photo, "challenger") for photo in photos)
    better = sum(is_right(photo, "challenger") and not is_right(photo, "champion") for photo in photos)
    p = float(binomtest(worse, worse + better).pvalue) if worse + better else 1.0
    return {"right_to_wrong": worse, "wrong_to_right": better, "p": p}


def _kind(photo: Photo) -> str:
    if is_right(photo, "champion"):
        return "right_to_wrong"
    return "wrong_to_right" if is_right(photo, "challenger") else "other"
