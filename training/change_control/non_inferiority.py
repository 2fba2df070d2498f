"""CC-1 to CC-5: is a measure of the challenger worse than the champion's by more than the plan allows?

Worse is what the whole interval of the paired difference says. Where the interval reaches to both sides of the margin,
the photos are too few, and the reason says how many would decide.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cataract.ml.labels import CATARACT, NORMAL
from cataract.ml.statistics.paired import Difference, times_to_decide
from training.change_control.paired import MEASURES, Paired, Photo, clusters_with, difference_of
from training.change_control.rules import rules
from training.change_control.verdicts import FAIL, NOTE, PASS, SINCE, TEST, TOO_FEW, WARNING, gate_row

NAMES = {"roc_auc": "ROC-AUC", "ece": "calibration error", "ungradable": "share that it cannot judge"}
# Whose patients decide a measure; of all of them where it is not one class alone.
_CLASSES = {"sensitivity": (CATARACT, "with cataract"), "specificity": (NORMAL, "without cataract")}


def on_test_photos(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """Each gate on the unseen test photos."""
    return [_row(gate, TEST, photos, *_judged(gate, photos)) for gate in rules()["gate"]]


def on_new_labels(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """Each gate on photos with labels since the champion was trained: a warning where it is worse, never a refusal."""
    least = rules()["since"]["min_clusters"]
    positives, negatives = clusters_with(photos, CATARACT), clusters_with(photos, NORMAL)
    if min(positives, negatives) < least:
        reason = (
            f"new labels: {positives} patients with and {negatives} without cataract that neither release was fitted "
            f"on; the plan looks at them from {least} of each on"
        )
        title = "Not worse on labels since the champion was trained"
        return [gate_row("CC-9", "since", title, len(photos), NOTE, reason, on=SINCE)]
    return [_row(gate, SINCE, photos, *_warned(gate, photos)) for gate in rules()["gate"]]


def sides(measure: str, difference: Difference) -> tuple[float, float]:
    """(worst, best) end of the interval of a difference, positive where the challenger is better."""
    low, high = difference.interval
    return (low, high) if MEASURES[measure] > 0 else (-high, -low)


def _row(
    gate: dict[str, Any], on: str, photos: Sequence[Photo], difference: Difference | None, verdict: str, reason: str
) -> dict[str, Any]:
    figures = asdict(Paired.of(difference)) | {"margin": gate["margin"]}
    n = figures.pop("n")
    return gate_row(gate["id"], gate["measure"], gate["title"], n, verdict, reason, on=on, **figures)


def _judged(gate: dict[str, Any], photos: Sequence[Photo]) -> tuple[Difference | None, str, str]:
    measure, margin, plan = gate["measure"], gate["margin"], rules()["comparison"]
    name = NAMES.get(measure, measure)
    difference = difference_of(measure, photos)
    if difference is None:
        return None, TOO_FEW, f"{name}: there is no unseen photo to measure it on"
    worst, best = sides(measure, difference)
    positives, negatives = clusters_with(photos, CATARACT), clusters_with(photos, NORMAL)
    enough = positives >= plan["min_positive_clusters"] and negatives >= plan["min_negative_clusters"]
    if best < -margin and (enough or not gate.get("needs_enough")):
        return difference, FAIL, f"{name} is worse: by {-best:.3f} at best, by {-worst:.3f} at worst ({margin} allowed)"
    if not enough:
        return (
            difference,
            TOO_FEW,
            (
                f"{name}: {positives} patients with and {negatives} without cataract; the plan asks for "
                f"{plan['min_positive_clusters']} and {plan['min_negative_clusters']}"
            ),
        )
    if worst < -margin:
        more = _more_photos(measure, difference, margin, photos)
        return difference, TOO_FEW, f"{name} may be worse by {-worst:.3f}, where {margin} is allowed. {more}"
    if abs(worst) < 0.0005:
        return difference, PASS, f"{name} is at worst unchanged ({margin} allowed)"
    words = f"{'better' if worst > 0 else 'worse'} by {abs(worst):.3f} at worst"
    return difference, PASS, f"{name} is {words} ({margin} allowed)"


def _more_photos(measure: str, difference: Difference, margin: float, photos: Sequence[Photo]) -> str:
    """In words: how many more patients would decide, if they answered as these do."""
    times = times_to_decide(difference, allowed=margin, better=MEASURES[measure])
    truth, whose = _CLASSES.get(measure, ("", ""))
    have = clusters_with(photos, truth) if truth else len({photo.cluster for photo in photos})
    if times is None:
        return "The difference is so near to the margin that no likely number of photos would decide"
    more = math.ceil(have * (times - 1))
    return f"About {more} more test patients {whose} would decide".replace("  ", " ")


def _warned(gate: dict[str, Any], photos: Sequence[Photo]) -> tuple[Difference | None, str, str]:
    measure, name = gate["measure"], NAMES.get(gate["measure"], gate["measure"])
    difference = difference_of(measure, photos)
    if difference is None:
        return None, NOTE, f"{name}: there is no such photo to measure it on"
    worst, best = sides(measure, difference)
    if best < 0:
        reason = (
            f"{name} is worse on labels since the champion was trained: by {-best:.3f} at best, {-worst:.3f} at worst"
        )
        return difference, WARNING, reason
    return difference, PASS, f"{name} is not shown to be worse on labels since the champion was trained"
