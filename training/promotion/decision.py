"""What the decision page of a release shows: the verdict as a sentence, three plots, one table of gates, and what is
missing before it may be promoted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from cataract.core import paired_charts
from cataract.core.charts import Interval
from cataract.ml.statistics.intervals import wilson
from predictions.releases.models import Release
from training.change_control.paired import SIDES
from training.change_control.rules import rules
from training.change_control.verdicts import FAIL, SINCE, TOO_FEW
from training.comparison.models import Comparison
from training.comparison.promotable import needs_acknowledgement

_PLOTTED = (("sensitivity", "Sensitivity"), ("specificity", "Specificity"))
ALONE = "Decided without a person"


@dataclass(frozen=True)
class GateLine:
    """One rule of the plan: its row on the test photos, and its row on the labels since the champion was trained."""

    id: str
    title: str
    test: dict[str, Any] | None
    since: dict[str, Any] | None

    @property
    def figures(self) -> dict[str, Any]:
        """The row with the figures that decide: of the test photos where there are any."""
        return self.test or self.since or {}

    @property
    def digits(self) -> int:
        """The decimals of its figures: shares need three, milliseconds none."""
        return 0 if self.figures.get("measure") == "latency" else 3


def shown_comparison(release: Release) -> tuple[Comparison | None, bool]:
    """The comparison that the page of a release shows, and whether it stands: that it is with the champion of now.

    Without a standing one, the newest: under it the release was promoted or rejected.
    """
    standing = Comparison.objects.standing(release)
    newest = Comparison.objects.filter(challenger=release).select_related("champion", "dataset").first()
    return standing or newest, standing is not None


def headline(release: Release, comparison: Comparison | None, *, open_causes: int, has_champion: bool) -> str:
    """The verdict in one sentence that a person could say aloud."""
    fixed = {
        Release.Status.CHAMPION: f"{release.pk} is the champion: it answers every photo.",
        Release.Status.REJECTED: f"{release.pk} was rejected and cannot be promoted.",
        Release.Status.BASE: f"{release.pk} is a base to train from. It cannot answer photos.",
    }
    if release.status in fixed:
        return fixed[Release.Status(release.status)]
    if not has_champion:
        return f"There is no champion. {release.pk} can become the first."
    if comparison is None:
        return f"{release.pk} has not been compared with the champion yet."
    return _compared(release.pk, comparison, open_causes)


def _compared(name: str, comparison: Comparison, open_causes: int) -> str:
    gates = comparison.report.get("gates", [])
    if comparison.verdict == Comparison.Verdict.FAIL:
        failed = _in_verdict(gates, FAIL)
        return f"{name} fails {_count(len(failed), 'gate')} and cannot be promoted."
    if open_causes:
        photos = "1 photo turns" if open_causes == 1 else f"{open_causes} photos turn"
        return f"{name} fails no gate, but {photos} from right to wrong without a cause."
    if comparison.verdict == Comparison.Verdict.TOO_FEW:
        return f"{name} fails no gate, but {_count(len(_in_verdict(gates, TOO_FEW)), 'gate')} cannot be judged yet."
    return f"{name} passes every gate: it is not worse than the champion."


def plots(report: Mapping[str, Any]) -> list[tuple[str, SafeString, str]]:
    """(title, plot, note) of sensitivity, specificity and the share that is decided without a person.

    Empty for a report without measures, as an older version of the plan wrote.
    """
    measures, unseen = report.get("measures"), report.get("n", {}).get("unseen", 0)
    if not measures or not unseen:
        return []
    found = []
    for name, title in _PLOTTED:
        rows = [_measured(side, measures[side][name]) for side in SIDES]
        found.append((title, paired_charts.pair(title, *rows), f"n = {rows[0].n} test photos"))
    alone = [_alone(side, report["figures"][side]["auto_decided"], unseen) for side in SIDES]
    found.append((ALONE, paired_charts.pair(ALONE, *alone), f"n = {unseen} test photos, each counted once"))
    return found


def _measured(side: str, measure: Mapping[str, Any]) -> Interval:
    return Interval(side.capitalize(), measure["value"], measure["low"], measure["high"], measure["n"])


def _alone(side: str, decided: int, n: int) -> Interval:
    return Interval(side.capitalize(), decided / n, *wilson(decided, n), n)


@dataclass(frozen=True)
class Cell:
    """One cell of a confusion matrix. is_right: whether truth and decision agree."""

    truth: str
    said: str
    photos: int

    @property
    def is_right(self) -> bool:
        return self.truth == self.said


def confusions(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, list[Cell]]]]]:
    """(side, rows of (truth, cells by decision)) of the unseen test photos, for each of the two releases."""
    figures = report.get("figures") or {}
    return [
        (
            side,
            [
                (truth, [Cell(truth, said, photos) for said, photos in row.items()])
                for truth, row in figures[side]["confusion"].items()
            ],
        )
        for side in SIDES
        if "confusion" in figures.get(side, {})
    ]


def gate_lines(gates: Sequence[dict[str, Any]]) -> list[GateLine]:
    """The gates of a report, one line a rule, in the order of the plan."""
    lines: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for gate in gates:
        key = (gate["id"], gate.get("measure", gate["title"]))
        lines.setdefault(key, {})["since" if gate.get("on") == SINCE else "test"] = gate
    return [
        GateLine(id, next(iter(both.values()))["title"], both.get("test"), both.get("since"))
        for (id, _), both in lines.items()
    ]


def more_patients(report: Mapping[str, Any]) -> str:
    """How many more test patients the plan asks for, in words; empty where there are enough."""
    n, plan = report.get("n", {}), rules()["comparison"]
    if "positive_clusters" not in n:
        return ""
    missing = (
        (plan["min_positive_clusters"] - n["positive_clusters"], "with"),
        (plan["min_negative_clusters"] - n["negative_clusters"], "without"),
    )
    words = " and ".join(f"{more} more patients {whose}" for more, whose in missing if more > 0)
    asked = f"{plan['min_positive_clusters']} with and {plan['min_negative_clusters']} without"
    return f"{words} cataract would decide: the plan asks for test photos of {asked}." if words else ""


def missing(
    release: Release, comparison: Comparison | None, *, standing: bool, has_champion: bool, left: int
) -> list[str]:
    """What is missing before `release` may be promoted, in words for the bar; empty where nothing is."""
    if not has_champion or (comparison is None and needs_acknowledgement(release)):
        return []
    if comparison is None or not standing:
        return ["a comparison with the champion"]
    if comparison.report["rules"] != rules()["version"]:
        return ["a comparison under the plan of today"]
    found = []
    if comparison.verdict == Comparison.Verdict.FAIL:
        found.append(f"{_count(len(_in_verdict(comparison.report['gates'], FAIL)), 'failed gate')}")
    if left:
        found.append(_count(left, "cause"))
    return found


def _in_verdict(gates: Sequence[Mapping[str, Any]], verdict: str) -> list[Mapping[str, Any]]:
    return [gate for gate in gates if gate["verdict"] == verdict]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
