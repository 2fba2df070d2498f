"""The photos behind a figure of a comparison: a cell of a confusion matrix, or a subgroup."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cataract.ml.labels import CATARACT, NORMAL, Decision
from training.change_control.paired import SIDES

SAID = (CATARACT, NORMAL, Decision.UNGRADABLE.value)


@dataclass(frozen=True)
class Row:
    """One test photo with its truth and what both releases said of it."""

    image: str
    truth: str
    champion: str
    challenger: str
    groups: Mapping[str, str]


def rows(report: Mapping[str, Any]) -> list[Row]:
    """The unseen test photos of a report of `gates.judge`. The champion says the same where no flip is listed."""
    flipped = {flip["image"]: flip["champion"] for flip in report.get("flips", [])}
    return [
        Row(
            point["image"],
            point["truth"],
            flipped.get(point["image"], point["decision"]),
            point["decision"],
            point.get("groups", {}),
        )
        for point in report.get("points", [])
    ]


def chosen(report: Mapping[str, Any], query: Mapping[str, str]) -> tuple[str, list[Row]] | None:
    """(in words, photos) of ?side=&truth=&said= or ?group=&value=; None where it names neither."""
    side, truth, said = query.get("side"), query.get("truth"), query.get("said")
    if side in SIDES and truth in (CATARACT, NORMAL) and said in SAID:
        words = f"Truth {truth}, the {side} says {said}"
        return words, [row for row in rows(report) if row.truth == truth and getattr(row, side) == said]
    group, value = query.get("group"), query.get("value")
    if group and value is not None:
        return f"{group.capitalize()}: {value}", [row for row in rows(report) if row.groups.get(group) == value]
    return None
