"""Release gates: judge a challenger against the champion by the change-control plan (`rules.toml`).

The test photos decide; photos with labels confirmed since the champion was trained can only warn. Photos that either
release was fitted on, and near-duplicates of them, are counted and left out. Not to be confused with the photo gate,
`cataract.ml.cascade.gate`.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics.metrics import evaluate
from training.change_control import non_inferiority
from training.change_control.flips import flips, mcnemar
from training.change_control.paired import MEASURES, SIDES, Photo, answers_of, clusters_with, is_right, output_of
from training.change_control.rules import rules
from training.change_control.shortcuts import shortcut_gates
from training.change_control.subgroups import subgroup_gate, subgroups
from training.change_control.verdicts import FAIL, PASS, TOO_FEW, WARNING, gate_row, worst


def judge(
    photos: Sequence[Photo],
    *,
    since: Sequence[Photo],
    covered: Mapping[str, Sequence[Photo]] | None = None,
    source: str = "",
) -> dict[str, Any]:
    """The report as JSON.

    photos: the test photos; since: photos with labels confirmed since the champion was trained (both may hold the same
    photo); covered: `shortcuts.shortcut_gates`; source: where the test photos come from, in words. Keys: `verdict` (the
    worst of the gates: FAIL, else TOO_FEW, else PASS), `reasons`, `warnings`, `gates`, `subgroups`, `mcnemar`, `flips`,
    `n`, `since`, `source`; and of the unseen test photos `figures` (one number a name), `measures` (with n and
    interval) and `points`.
    """
    unseen, new = _unseen(photos), _unseen(since)
    groups = subgroups(unseen)
    gates = [
        *non_inferiority.on_test_photos(unseen),
        _latency_gate(photos),
        subgroup_gate(groups),
        _leak_gate(photos),
        *shortcut_gates(covered or {}),
        *non_inferiority.on_new_labels(new),
    ]
    measures = {side: _measures(unseen, side) for side in SIDES}
    return {
        "rules": rules()["version"],
        "source": source,
        "verdict": worst(gates),
        "reasons": _reasons(gates, FAIL, TOO_FEW),
        "warnings": _reasons(gates, WARNING),
        "n": _counts(photos, unseen),
        "since": _counts(since, new),
        "gates": gates,
        "subgroups": groups,
        "mcnemar": mcnemar(unseen),
        "flips": flips(photos, since=new),
        "measures": measures,
        "figures": {side: _figures(unseen, side, measures[side]) for side in SIDES},
        "points": [
            {
                "image": photo.image,
                "cluster": photo.cluster,
                "weight": photo.weight,
                "truth": photo.truth,
                "decision": photo.challenger.decision,
                "probability": photo.challenger.probability,
                "needs_review": photo.challenger.needs_review,
                "groups": photo.groups,
            }
            for photo in unseen
        ],
    }


def _reasons(gates: Sequence[dict[str, Any]], *verdicts: str) -> list[str]:
    return [f"{gate['id']}: {gate['reason']}" for gate in gates if gate["verdict"] in verdicts]


def _latency_gate(photos: Sequence[Photo]) -> dict[str, Any]:
    plan = rules()["latency"]
    title = f"Median processor time per photo at most {plan['max_ratio']} times the champion's"
    if not photos:
        return gate_row("CC-6", "latency", title, 0, TOO_FEW, "latency: there is no test photo")
    before, after = (statistics.median(output_of(photo, side).milliseconds for photo in photos) for side in SIDES)
    allowed = before * plan["max_ratio"] + plan["slack_ms"]
    reason = f"{after:.0f} ms per photo, {allowed:.0f} ms allowed (the champion takes {before:.0f} ms)"
    figures: dict[str, Any] = {"champion": before, "challenger": after, "difference": after - before}
    verdict = PASS if after <= allowed else FAIL
    return gate_row("CC-6", "latency", title, len(photos), verdict, reason, **figures)


def _leak_gate(photos: Sequence[Photo]) -> dict[str, Any]:
    leaked = sum(photo.seen_by == ("challenger",) for photo in photos)
    verdict = PASS if leaked <= rules()["leak"]["max_photos"] else FAIL
    reason = f"{leaked} test photos, or copies of them, are among those that only the challenger was fitted on"
    return gate_row("CC-8", "leak", "Fitted on no test photo", len(photos), verdict, reason)


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


def _measures(photos: Sequence[Photo], side: str) -> dict[str, Any]:
    """Every measure of one release on its own, with n and interval."""
    a = answers_of(photos, side)
    return evaluate(a.truth, a.probability, list(a.decision), clusters=a.group, weights=a.weight)


def _figures(photos: Sequence[Photo], side: str, measures: dict[str, Any]) -> dict[str, Any]:
    """Plain figures: photos by truth and decision, what was decided without a person, and the compared measures."""
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
        **{name: measures[name]["value"] for name in MEASURES},
    }
