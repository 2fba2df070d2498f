"""CC-7: is the challenger worse for a site, a device, an eye or a brightness?"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cataract.ml.labels import CATARACT, NORMAL
from cataract.ml.statistics.paired import Difference
from training.change_control.non_inferiority import NAMES, sides
from training.change_control.paired import Paired, Photo, clusters_with, difference_of
from training.change_control.rules import rules
from training.change_control.verdicts import FAIL, PASS, TOO_FEW, gate_row

_MEASURES = ("sensitivity", "specificity", "ungradable")


def brightness_band(brightness: float) -> str:
    """dark, medium or bright, for the mean grey of a photo (0..1)."""
    plan = rules()["subgroup"]
    return "dark" if brightness < plan["dark_below"] else "bright" if brightness > plan["bright_above"] else "medium"


def subgroups(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """Each subgroup with its paired measures and a verdict."""
    return [
        _subgroup(group, value, [photo for photo in photos if photo.groups.get(group) == value])
        for group, value in sorted({pair for photo in photos for pair in photo.groups.items()})
    ]


def subgroup_gate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fails if any subgroup is worse; passes only if at least one could be judged and no large one is open."""
    failing = [row["reason"] for row in rows if row["verdict"] == FAIL]
    unclear = [row["reason"] for row in rows if row["verdict"] == TOO_FEW and row["large"]]
    small = [f"{row['group']} {row['value']}" for row in rows if not row["large"]]
    judged = sum(row["verdict"] == PASS for row in rows)
    verdict = FAIL if failing else TOO_FEW if unclear or not judged else PASS
    passing = f"{judged} subgroups are not worse" if judged else "no subgroup is large enough to judge"
    reason = "; ".join(failing or unclear) or passing
    if small and not failing:
        reason += f"; too few photos in: {', '.join(small)}"
    return gate_row("CC-7", "subgroups", "No subgroup worse", len(rows), verdict, reason)


def _subgroup(group: str, value: str, photos: Sequence[Photo]) -> dict[str, Any]:
    plan = rules()["subgroup"]
    measures = {name: difference_of(name, photos) for name in _MEASURES}
    large = min(clusters_with(photos, truth) for truth in (CATARACT, NORMAL)) >= plan["min_clusters"]
    verdict, reason = _verdict(f"{group} {value}", measures) if len(photos) >= plan["min_images"] else (TOO_FEW, "")
    if verdict == TOO_FEW and not large:
        reason = "too few photos"
    figures = {name: asdict(Paired.of(difference)) for name, difference in measures.items()}
    row = {"group": group, "value": value, "n": len(photos), "large": large, "verdict": verdict, "reason": reason}
    return row | figures


def _verdict(name: str, measures: dict[str, Difference | None]) -> tuple[str, str]:
    """FAIL if a whole interval is beyond the margin, TOO_FEW if one reaches beyond it."""
    margin = rules()["subgroup"]["margin"]
    ends = {measure: sides(measure, difference) for measure, difference in measures.items() if difference}
    worse = {measure: -best for measure, (_, best) in ends.items() if best < -margin}
    open_ = {measure: -worst for measure, (worst, _) in ends.items() if worst < -margin}
    if worse:
        return FAIL, f"{name}: {', '.join(f'{NAMES.get(m, m)} worse by {by:.3f} at least' for m, by in worse.items())}"
    if open_:
        return TOO_FEW, f"{name}: {', '.join(f'{NAMES.get(m, m)} may be worse by {by:.3f}' for m, by in open_.items())}"
    return PASS, f"{name}: not worse by more than {margin}"
