"""CC-10: does the challenger still answer where the lens is hidden? Then it reads something else than the lens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cataract.ml.labels import CLASSES
from cataract.ml.statistics import paired
from cataract.ml.statistics.intervals import Estimate, weighted_share
from cataract.ml.statistics.measures import estimate
from training.change_control.paired import SIDES, Photo, answers_of, difference_of, output_of
from training.change_control.rules import rules
from training.change_control.verdicts import FAIL, PASS, TOO_FEW, WARNING, gate_row

PUPIL_COVERED, EYE_COVERED = "pupil_covered", "eye_covered"
_TITLES = {
    PUPIL_COVERED: "Goes to a person where the pupil is covered",
    EYE_COVERED: "Goes to a person where only the background is left",
}


def shortcut_gates(covered: Mapping[str, Sequence[Photo]]) -> list[dict[str, Any]]:
    """A row for each way to cover: test photos with the outputs of both releases for their covered copies."""
    return [_row(title, covered.get(way, ())) for way, title in _TITLES.items()]


def _row(title: str, photos: Sequence[Photo]) -> dict[str, Any]:
    plan = rules()["shortcut"]
    if len(photos) < plan["min_photos"]:
        reason = (
            f"{len(photos)} unseen test photos with a pupil that is found for sure; {plan['min_photos']} are needed"
        )
        return gate_row("CC-10", "shortcut", title, len(photos), TOO_FEW, reason)
    challenger = answers_of(photos, "challenger")
    alone = {side: np.array([_alone(photo, side) for photo in photos]) for side in SIDES}
    automatic = paired.share_difference(alone["champion"], alone["challenger"], challenger.weight, challenger.group)
    share = weighted_share(alone["challenger"], challenger.weight, challenger.group)
    area = estimate("roc_auc", challenger)
    area_difference = difference_of("roc_auc", photos)
    judged = [
        _judged(share, plan["max_automatic"], automatic),
        _judged(area, plan["max_roc_auc"], area_difference),
    ]
    verdict = next(verdict for verdict in (FAIL, TOO_FEW, WARNING, PASS) if verdict in judged)
    low, high = automatic.interval
    figures: dict[str, Any] = {"champion": automatic.first, "challenger": automatic.second, "low": low, "high": high}
    reason = f"{int(alone['challenger'].sum())} of {len(photos)} are answered without a person, {_words(area)}"
    limits = f" ({plan['max_automatic']:.0%} and {plan['max_roc_auc']} allowed)"
    same = "; the challenger is not shown to be worse in it than the champion" if verdict == WARNING else ""
    return gate_row(
        "CC-10", "shortcut", title, len(photos), verdict, reason + limits + same, difference=automatic.value, **figures
    )


def _judged(found: Estimate, limit: float, difference: paired.Difference | None) -> str:
    """Above the limit: FAIL where the champion is lower, TOO_FEW where the interval leaves that open, else WARNING."""
    if found.value is None or found.low is None or found.value <= limit or found.n < rules()["shortcut"]["min_photos"]:
        return PASS
    if difference is not None and difference.interval[0] <= 0:
        return WARNING
    return FAIL if found.low > limit else TOO_FEW


def _alone(photo: Photo, side: str) -> bool:
    output = output_of(photo, side)
    return output.decision in CLASSES and not output.needs_review


def _words(area: Estimate) -> str:
    if area.value is None:
        return "and none has a probability by which to tell the classes apart"
    return f"and the ROC-AUC of its probabilities is {area.value:.2f} ({area.low:.2f} to {area.high:.2f}, n {area.n})"
