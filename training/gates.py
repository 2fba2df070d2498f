"""Challenger against champion on the frozen test photos, paired: gates, flips, and a verdict in words.

Pure of the web and of Celery. Intention to screen: a photo that a release cannot judge is referred, so it counts as a
positive answer for sensitivity and specificity alike (STARD-AI); the gate CC-5 watches the share of such photos.
Photos that either release was fitted on, or near-duplicates of them, are left out of the gates and counted.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.rules import rules

Array = NDArray[np.float64]

PASS, FAIL, TOO_FEW = "pass", "fail", "too_few"
SIDES = ("champion", "challenger")


@dataclass(frozen=True)
class Answer:
    """What one release said of one photo. `probability` is None when it made none."""

    decision: str
    probability: float | None
    needs_review: bool
    milliseconds: float


@dataclass(frozen=True)
class Photo:
    """One test photo with its truth and both answers. `seen_by`: releases fitted on it ("champion", "challenger")."""

    image: str
    cluster: int
    truth: str
    champion: Answer
    challenger: Answer
    groups: dict[str, str] = field(default_factory=dict)
    seen_by: tuple[str, ...] = ()


def judge(photos: Sequence[Photo], *, seed: int = 0) -> dict[str, Any]:
    """The whole report, as JSON: `verdict`, `gates`, `flips` (right to wrong first), `mcnemar`, `subgroups`, `n`."""
    unseen = [photo for photo in photos if not photo.seen_by]
    gates = [_gate(gate, unseen, seed) for gate in rules()["gate"]]
    gates += [_latency_gate(photos), _leak_gate(photos)]
    subgroups = _subgroups(unseen)
    gates += [_subgroup_gate(subgroups)]
    return {
        "rules": rules()["version"],
        "verdict": _worst([gate["verdict"] for gate in gates]),
        "reasons": [f"{gate['id']}: {gate['reason']}" for gate in gates if gate["verdict"] != PASS],
        "n": _counts(photos, unseen),
        "gates": gates,
        "subgroups": subgroups,
        "mcnemar": mcnemar(unseen),
        "flips": flips(photos),
        "figures": {side: _figures(photos, side) for side in ("champion", "challenger")},
        "points": [
            {"truth": photo.truth, "decision": photo.challenger.decision, "probability": photo.challenger.probability}
            for photo in photos
        ],
    }


def flips(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """Every photo whose decision changes, those that turn from right to wrong first."""
    order = {"right_to_wrong": 0, "wrong_to_right": 1, "other": 2}
    changed = [
        {
            "image": photo.image,
            "truth": photo.truth,
            "champion": photo.champion.decision,
            "challenger": photo.challenger.decision,
            "champion_probability": photo.champion.probability,
            "challenger_probability": photo.challenger.probability,
            "kind": _flip(photo),
            "seen": bool(photo.seen_by),
        }
        for photo in photos
        if photo.champion.decision != photo.challenger.decision
    ]
    return sorted(changed, key=lambda flip: (order[flip["kind"]], flip["image"]))


def mcnemar(photos: Sequence[Photo]) -> dict[str, Any]:
    """Exact two-sided McNemar test (binomial) of the photos that exactly one of the two decides rightly."""
    worse = sum(_right(photo, "champion") and not _right(photo, "challenger") for photo in photos)
    better = sum(_right(photo, "challenger") and not _right(photo, "champion") for photo in photos)
    n = worse + better
    tail = sum(math.comb(n, k) for k in range(min(worse, better) + 1)) / 2**n
    return {"right_to_wrong": worse, "wrong_to_right": better, "p": min(1.0, 2 * tail)}


def sensitivity(answers: "Answers", weights: Array) -> Array:
    return _mean(answers.decision != "normal", weights * answers.truth)


def specificity(answers: "Answers", weights: Array) -> Array:
    return _mean(answers.decision == "normal", weights * ~answers.truth)


def ungradable(answers: "Answers", weights: Array) -> Array:
    return _mean(answers.decision == "ungradable", weights)


def roc_auc(answers: "Answers", weights: Array) -> Array:
    """Rank statistic over the photos that have a probability (Hanley and McNeil 1982); ties count a half."""
    judged = ~np.isnan(answers.probability)
    positive, negative = judged & answers.truth, judged & ~answers.truth
    gap = answers.probability[positive][:, None] - answers.probability[negative][None, :]
    wins = (gap > 0) + 0.5 * (gap == 0)
    above, below = weights[:, positive], weights[:, negative]
    return _ratio(((above @ wins) * below).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))


def ece(answers: "Answers", weights: Array) -> Array:
    """Expected calibration error over 10 bins of equal width (Guo et al. 2017)."""
    judged = ~np.isnan(answers.probability)
    p, y, w = answers.probability[judged], answers.truth[judged], weights[:, judged]
    bins = np.minimum((p * 10).astype(int), 9)
    error = sum((abs(w[:, bins == b] @ (p - y)[bins == b]) for b in range(10)), np.zeros(len(w)))
    return _ratio(error, w.sum(axis=1))


@dataclass(frozen=True)
class Answers:
    """The answers of one release to N photos as arrays (N,); no probability is NaN."""

    truth: NDArray[np.bool_]
    decision: NDArray[np.str_]
    probability: Array

    @classmethod
    def of(cls, photos: Sequence[Photo], side: str) -> "Answers":
        answers = [_side(photo, side) for photo in photos]
        return cls(
            truth=np.array([photo.truth == "cataract" for photo in photos], dtype=bool),
            decision=np.array([answer.decision for answer in answers], dtype="<U10"),
            probability=np.array([np.nan if a.probability is None else a.probability for a in answers], dtype=float),
        )


# A measure takes the weights (B, N) of B resamples and gives (B,), NaN where it is not defined.
# Beside it +1 where more is better, -1 where less is.
MEASURES: dict[str, tuple[Callable[[Answers, Array], Array], int]] = {
    "sensitivity": (sensitivity, 1),
    "specificity": (specificity, 1),
    "roc_auc": (roc_auc, 1),
    "ece": (ece, -1),
    "ungradable": (ungradable, -1),
}


def value_of(name: str, photos: Sequence[Photo], side: str) -> float | None:
    """One measure on these photos; None where it is not defined (no photo of a class, say)."""
    value = float(MEASURES[name][0](Answers.of(photos, side), np.ones((1, len(photos))))[0])
    return None if math.isnan(value) else value


def _gate(gate: dict[str, Any], photos: Sequence[Photo], seed: int) -> dict[str, Any]:
    """One non-inferiority gate: the lower bound of the paired difference (in the direction of "better") >= -margin."""
    name, direction = gate["measure"], MEASURES[gate["measure"]][1]
    before, after = value_of(name, photos, "champion"), value_of(name, photos, "challenger")
    row = {**gate, "champion": before, "challenger": after, "difference": None, "low": None, "high": None}
    row["n"] = len(photos)
    if before is None or after is None:
        return row | {"verdict": TOO_FEW, "reason": "there is no unseen test photo to measure it on"}
    row["difference"] = after - before
    low, high = _interval(name, photos, seed)
    row["low"], row["high"] = low, high
    worst, best = (low, high) if direction > 0 else (-high, -low)
    return row | dict(zip(("verdict", "reason"), _verdict(photos, worst, best, gate), strict=True))


def _verdict(photos: Sequence[Photo], worst: float, best: float, gate: dict[str, Any]) -> tuple[str, str]:
    name, margin = gate["measure"].replace("_", "-"), gate["margin"]
    need = rules()["comparison"]
    positives, negatives = _clusters(photos, "cataract"), _clusters(photos, "normal")
    enough = positives >= need["min_positive_clusters"] and negatives >= need["min_negative_clusters"]
    if best < 0 and worst < -margin and (enough or not gate.get("needs_enough")):
        return FAIL, f"{name} is worse: at the best by {-best:.3f}, at the worst by {-worst:.3f} ({margin} allowed)"
    if not enough:
        return TOO_FEW, (
            f"{name}: {positives} patients with and {negatives} without cataract; the plan asks for "
            f"{need['min_positive_clusters']} and {need['min_negative_clusters']}"
        )
    if worst < -margin:
        return FAIL, f"{name} may be worse by {-worst:.3f}, where {margin} is allowed"
    if abs(worst) < 0.0005:
        return PASS, f"{name} is at the worst unchanged ({margin} allowed)"
    return PASS, f"{name} is at the worst {'better' if worst > 0 else 'worse'} by {abs(worst):.3f} ({margin} allowed)"


def _interval(name: str, photos: Sequence[Photo], seed: int) -> tuple[float, float]:
    """Percentile interval of the paired difference, resampling whole clusters (Efron and Tibshirani 1993)."""
    plan, measure = rules()["comparison"], MEASURES[name][0]
    _, cluster = np.unique([photo.cluster for photo in photos], return_inverse=True)
    count = int(cluster.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=plan["bootstrap"])
    weights = drawn[:, cluster].astype(float)
    before, after = (measure(Answers.of(photos, side), weights) for side in SIDES)
    differences = (after - before)[~np.isnan(after - before)]
    tail = (1 - plan["confidence"]) / 2 * 100
    low, high = np.percentile(differences, [tail, 100 - tail]) if len(differences) else (-1.0, 1.0)
    return float(low), float(high)


def _latency_gate(photos: Sequence[Photo]) -> dict[str, Any]:
    plan = rules()["latency"]
    row: dict[str, Any] = {
        "id": "CC-6",
        "measure": "latency",
        "title": f"Median time a photo at most {plan['max_ratio']} times the champion's",
        "n": len(photos),
        "champion": None,
        "challenger": None,
        "difference": None,
        "low": None,
        "high": None,
        "margin": None,
    }
    if not photos:
        return row | {"verdict": TOO_FEW, "reason": "latency: there is no test photo"}
    before, after = (statistics.median(_side(photo, side).milliseconds for photo in photos) for side in SIDES)
    allowed = before * plan["max_ratio"] + plan["slack_ms"]
    reason = f"{after:.0f} ms a photo, {allowed:.0f} ms allowed (the champion takes {before:.0f} ms)"
    row |= {"champion": before, "challenger": after, "difference": after - before}
    return row | {"verdict": PASS if after <= allowed else FAIL, "reason": reason}


def _leak_gate(photos: Sequence[Photo]) -> dict[str, Any]:
    leaked = sum(photo.seen_by == ("challenger",) for photo in photos)
    verdict = PASS if leaked <= rules()["leak"]["max_photos"] else FAIL
    return _plain_gate(
        "CC-8",
        "leak",
        "Fitted on no test photo",
        len(photos),
        verdict,
        f"{leaked} test photos, or copies of them, are among those that only the challenger was fitted on",
    )


def _subgroup_gate(subgroups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    failing = [f"{row['group']} {row['value']}" for row in subgroups if row["verdict"] == FAIL]
    judged = sum(row["verdict"] != TOO_FEW for row in subgroups)
    reason = f"clearly worse in: {', '.join(failing)}" if failing else f"{judged} subgroups are large enough to judge"
    verdict = FAIL if failing else PASS
    return _plain_gate("CC-7", "subgroups", "No subgroup clearly worse", len(subgroups), verdict, reason)


def _plain_gate(id: str, measure: str, title: str, n: int, verdict: str, reason: str) -> dict[str, Any]:
    empty = dict.fromkeys(("champion", "challenger", "difference", "low", "high", "margin"))
    return {"id": id, "measure": measure, "title": title, "n": n, "verdict": verdict, "reason": reason, **empty}


def _subgroups(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """Sensitivity and specificity in each subgroup; fewer images than the plan asks for are shown, not judged."""
    rows = []
    for group, value in sorted({pair for photo in photos for pair in photo.groups.items()}):
        inside = [photo for photo in photos if photo.groups.get(group) == value]
        row: dict[str, Any] = {"group": group, "value": value, "n": len(inside)}
        worst = 0.0
        for name in ("sensitivity", "specificity"):
            before, after = value_of(name, inside, "champion"), value_of(name, inside, "challenger")
            row[name] = {"champion": before, "challenger": after}
            worst = min(worst, (after or 0.0) - (before or 0.0))
        enough = len(inside) >= rules()["comparison"]["subgroup_min_images"]
        row["verdict"] = TOO_FEW if not enough else FAIL if worst < -rules()["subgroup"]["margin"] else PASS
        rows.append(row)
    return rows


def _counts(photos: Sequence[Photo], unseen: Sequence[Photo]) -> dict[str, int]:
    return {
        "images": len(photos),
        "unseen": len(unseen),
        "seen": len(photos) - len(unseen),
        "clusters": len({photo.cluster for photo in unseen}),
        "positive_clusters": _clusters(unseen, "cataract"),
        "negative_clusters": _clusters(unseen, "normal"),
    }


def _figures(photos: Sequence[Photo], side: str) -> dict[str, Any]:
    """Plain figures on all test photos, for reading: decisions by truth, and what was decided without a person."""
    alone = [photo for photo in photos if not _side(photo, side).needs_review]
    table = {truth: dict.fromkeys(("cataract", "normal", "ungradable"), 0) for truth in ("cataract", "normal")}
    for photo in photos:
        table[photo.truth][_side(photo, side).decision] += 1
    return {
        "confusion": table,
        "auto_decided": len(alone),
        "auto_wrong": sum(not _right(photo, side) for photo in alone),
        **{name: value_of(name, photos, side) for name in MEASURES},
    }


def _side(photo: Photo, side: str) -> Answer:
    return photo.champion if side == "champion" else photo.challenger


def _right(photo: Photo, side: str) -> bool:
    return _side(photo, side).decision == photo.truth


def _flip(photo: Photo) -> str:
    if _right(photo, "champion"):
        return "right_to_wrong"
    return "wrong_to_right" if _right(photo, "challenger") else "other"


def _mean(values: NDArray[np.bool_], weights: Array) -> Array:
    return _ratio(weights @ values, weights.sum(axis=1))


def _ratio(above: Array, below: Array) -> Array:
    """above / below, NaN where below is 0."""
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0), dtype=np.float64)


def _clusters(photos: Sequence[Photo], truth: str) -> int:
    return len({photo.cluster for photo in photos if photo.truth == truth})


def _worst(verdicts: Sequence[str]) -> str:
    return FAIL if FAIL in verdicts else TOO_FEW if TOO_FEW in verdicts else PASS
