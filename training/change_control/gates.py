"""Release gates: judge a challenger against the champion by the change-control plan (`rules.toml`).

Every gate runs twice: on the frozen test photos, and on the photos with labels confirmed since the champion was trained
(weighted by 1 / the probability of being read). Photos that either release was fitted on, and near-duplicates of them,
are counted and left out. Not to be confused with the photo gate, `cataract.ml.cascade.gate`.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cataract.ml.labels import CATARACT, NORMAL, Decision
from training.change_control.paired import (
    MEASURES,
    SIDES,
    Paired,
    Photo,
    clusters_with,
    compare_measure,
    is_right,
    output_of,
    value_of,
)
from training.change_control.rules import rules

PASS, FAIL, TOO_FEW = "pass", "fail", "too_few"
TEST, SINCE = "test", "since"  # the two sets of photos
_SUBGROUP_MEASURES = ("sensitivity", "specificity", "ungradable")


def judge(photos: Sequence[Photo], *, since: Sequence[Photo], seed: int = 0) -> dict[str, Any]:
    """The report as JSON: `verdict`, `reasons`, `gates`, `flips`, `mcnemar`, `subgroups`, `n`, `figures`, `points`.

    photos: the frozen test photos; since: photos with labels confirmed since the champion was trained (both may hold
    the same photo). The verdict is that of the worst gate: FAIL, else TOO_FEW, else PASS.
    """
    unseen, new = _unseen(photos), _unseen(since)
    subgroups = _subgroups(unseen, seed)
    gates = [_gate(gate, TEST, unseen, seed) for gate in rules()["gate"]]
    gates += [_latency_gate(photos), _subgroup_gate(subgroups), _leak_gate(photos)]
    gates += [_gate(gate, SINCE, new, seed) for gate in rules()["gate"]] if new else [_nothing_new()]
    return {
        "rules": rules()["version"],
        "verdict": _worst([gate["verdict"] for gate in gates]),
        "reasons": [f"{gate['id']}: {gate['reason']}" for gate in gates if gate["verdict"] != PASS],
        "n": _counts(photos, unseen),
        "since": _counts(since, new),
        "gates": gates,
        "subgroups": subgroups,
        "mcnemar": mcnemar(unseen),
        "flips": flips(photos, since=new),
        "figures": {side: _figures(photos, side) for side in SIDES},
        "points": [
            {
                "image": photo.image,
                "cluster": photo.cluster,
                "truth": photo.truth,
                "decision": photo.challenger.decision,
                "probability": photo.challenger.probability,
                "needs_review": photo.challenger.needs_review,
            }
            for photo in photos
        ],
    }


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
            "kind": _flip(photo),
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


def _gate(gate: dict[str, Any], on: str, photos: Sequence[Photo], seed: int) -> dict[str, Any]:
    """A non-inferiority gate: the lower bound of the paired difference (positive is better) is at least -margin."""
    paired = _compare(gate["measure"], photos, seed)
    row = {**gate, **asdict(paired), "on": on, "n": len(photos)}
    verdict, reason = _verdict(gate, paired, photos)
    where = "" if on == TEST else " (labels since the champion was trained)"
    return row | {"verdict": verdict, "reason": reason + where}


def _compare(measure: str, photos: Sequence[Photo], seed: int) -> Paired:
    plan = rules()["comparison"]
    return compare_measure(measure, photos, resamples=plan["bootstrap"], confidence=plan["confidence"], seed=seed)


def _better(measure: str, paired: Paired) -> tuple[float, float]:
    """(worst, best) end of the interval of a paired difference, positive where the challenger is better."""
    low, high = float(paired.low or 0.0), float(paired.high or 0.0)
    return (low, high) if MEASURES[measure][1] > 0 else (-high, -low)


def _verdict(gate: dict[str, Any], paired: Paired, photos: Sequence[Photo]) -> tuple[str, str]:
    name, margin, plan = gate["measure"].replace("_", "-"), gate["margin"], rules()["comparison"]
    if paired.difference is None:
        return TOO_FEW, f"{name}: there is no unseen photo to measure it on"
    worst, best = _better(gate["measure"], paired)
    positives, negatives = clusters_with(photos, CATARACT), clusters_with(photos, NORMAL)
    enough = positives >= plan["min_positive_clusters"] and negatives >= plan["min_negative_clusters"]
    if best < 0 and worst < -margin and (enough or not gate.get("needs_enough")):
        return FAIL, f"{name} is worse: by {-best:.3f} at best, by {-worst:.3f} at worst ({margin} allowed)"
    if not enough:
        return TOO_FEW, (
            f"{name}: {positives} patients with and {negatives} without cataract; the plan asks for "
            f"{plan['min_positive_clusters']} and {plan['min_negative_clusters']}"
        )
    if worst < -margin:
        return FAIL, f"{name} may be worse by {-worst:.3f}, where {margin} is allowed"
    if abs(worst) < 0.0005:
        return PASS, f"{name} is at worst unchanged ({margin} allowed)"
    return PASS, f"{name} is {'better' if worst > 0 else 'worse'} by {abs(worst):.3f} at worst ({margin} allowed)"


def _nothing_new() -> dict[str, Any]:
    reason = "since the champion was trained, no label has been confirmed on a photo that neither release has seen"
    return _plain_gate(
        "CC-9", "since", "As good on labels since the champion was trained", 0, TOO_FEW, reason, on=SINCE
    )


def _latency_gate(photos: Sequence[Photo]) -> dict[str, Any]:
    plan = rules()["latency"]
    title = f"Median processor time per photo at most {plan['max_ratio']} times the champion's"
    if not photos:
        return _plain_gate("CC-6", "latency", title, 0, TOO_FEW, "latency: there is no test photo")
    before, after = (statistics.median(output_of(photo, side).milliseconds for photo in photos) for side in SIDES)
    allowed = before * plan["max_ratio"] + plan["slack_ms"]
    reason = f"{after:.0f} ms per photo, {allowed:.0f} ms allowed (the champion takes {before:.0f} ms)"
    row = _plain_gate("CC-6", "latency", title, len(photos), PASS if after <= allowed else FAIL, reason)
    return row | {"champion": before, "challenger": after, "difference": after - before}


def _leak_gate(photos: Sequence[Photo]) -> dict[str, Any]:
    leaked = sum(photo.seen_by == ("challenger",) for photo in photos)
    verdict = PASS if leaked <= rules()["leak"]["max_photos"] else FAIL
    reason = f"{leaked} test photos, or copies of them, are among those that only the challenger was fitted on"
    return _plain_gate("CC-8", "leak", "Fitted on no test photo", len(photos), verdict, reason)


def _subgroup_gate(subgroups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fails if any subgroup is clearly worse; passes only if at least one could be judged and none is open."""
    failing = [row["reason"] for row in subgroups if row["verdict"] == FAIL]
    unclear = [row["reason"] for row in subgroups if row["verdict"] == TOO_FEW and row["large"]]
    small = [f"{row['group']} {row['value']}" for row in subgroups if not row["large"]]
    judged = sum(row["verdict"] == PASS for row in subgroups)
    verdict = FAIL if failing else TOO_FEW if unclear or not judged else PASS
    passing = f"{judged} subgroups are not worse" if judged else "no subgroup is large enough to judge"
    reason = "; ".join(failing or unclear) or passing
    if small and not failing:
        reason += f"; too few photos in: {', '.join(small)}"
    return _plain_gate("CC-7", "subgroups", "No subgroup worse", len(subgroups), verdict, reason)


def _plain_gate(
    id: str, measure: str, title: str, n: int, verdict: str, reason: str, *, on: str = TEST
) -> dict[str, Any]:
    empty = dict.fromkeys(("champion", "challenger", "difference", "low", "high", "margin"))
    return {
        "id": id,
        "measure": measure,
        "title": title,
        "on": on,
        "n": n,
        "verdict": verdict,
        "reason": reason,
    } | empty


def _subgroups(photos: Sequence[Photo], seed: int) -> list[dict[str, Any]]:
    """Each subgroup with its paired measures; one with too few photos is shown and not judged."""
    return [
        _subgroup(group, value, [photo for photo in photos if photo.groups.get(group) == value], seed)
        for group, value in sorted({pair for photo in photos for pair in photo.groups.items()})
    ]


def _subgroup(group: str, value: str, photos: Sequence[Photo], seed: int) -> dict[str, Any]:
    measures = {name: _compare(name, photos, seed) for name in _SUBGROUP_MEASURES}
    large = len(photos) >= rules()["comparison"]["subgroup_min_images"]
    verdict, reason = _subgroup_verdict(f"{group} {value}", measures) if large else (TOO_FEW, "too few photos")
    figures = {name: asdict(paired) for name, paired in measures.items()}
    row = {"group": group, "value": value, "n": len(photos), "large": large, "verdict": verdict, "reason": reason}
    return row | figures


def _subgroup_verdict(name: str, measures: dict[str, Paired]) -> tuple[str, str]:
    """FAIL if the whole interval is worse, TOO_FEW if the interval only reaches beyond the margin."""
    margin = rules()["subgroup"]["margin"]
    known = {measure: _better(measure, paired) for measure, paired in measures.items() if paired.difference is not None}
    worse = {measure: -best for measure, (worst, best) in known.items() if best < 0 and worst < -margin}
    open_ = {measure: -worst for measure, (worst, _) in known.items() if worst < -margin}
    if worse:
        return FAIL, f"{name}: {', '.join(f'{measure} worse by {by:.3f} at least' for measure, by in worse.items())}"
    if open_:
        return TOO_FEW, f"{name}: {', '.join(f'{measure} may be worse by {by:.3f}' for measure, by in open_.items())}"
    return PASS, f"{name}: not worse by more than {margin}"


def _unseen(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if not photo.seen_by]


def _counts(photos: Sequence[Photo], unseen: Sequence[Photo]) -> dict[str, int]:
    return {
        "images": len(photos),
        "unseen": len(unseen),
        "seen": len(photos) - len(unseen),
        "clusters": len({photo.cluster for photo in unseen}),
        "positive_clusters": clusters_with(unseen, CATARACT),
        "negative_clusters": clusters_with(unseen, NORMAL),
    }


def _figures(photos: Sequence[Photo], side: str) -> dict[str, Any]:
    """Plain figures on all test photos: decisions by truth, and what was decided without a person."""
    alone = [photo for photo in photos if not output_of(photo, side).needs_review]
    table = {truth: dict.fromkeys((CATARACT, NORMAL, Decision.UNGRADABLE.value), 0) for truth in (CATARACT, NORMAL)}
    for photo in photos:
        table[photo.truth][output_of(photo, side).decision] += 1
    return {
        "confusion": table,
        "auto_decided": len(alone),
        "auto_wrong": sum(not is_right(photo, side) for photo in alone),
        "auto_missed": sum(photo.truth == CATARACT and not is_right(photo, side) for photo in alone),
        "auto_false_alarms": sum(photo.truth == NORMAL and not is_right(photo, side) for photo in alone),
        **{name: value_of(name, photos, side) for name in MEASURES},
    }


def _flip(photo: Photo) -> str:
    if is_right(photo, "champion"):
        return "right_to_wrong"
    return "wrong_to_right" if is_right(photo, "challenger") else "other"


def _worst(verdicts: Sequence[str]) -> str:
    return FAIL if FAIL in verdicts else TOO_FEW if TOO_FEW in verdicts else PASS
