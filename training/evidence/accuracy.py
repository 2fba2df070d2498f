"""What the newest comparison shows about a release: rates, subgroups, calibration, gates and errors on the test photos.

`points` are the unseen test photos of `gates.judge`, with their cluster, weight, truth, decision and probability.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cataract.core import charts
from cataract.core.documents.document import Block, Chart, Paragraph, Photos, Table, interval, number
from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics.measures import Answers, estimate
from training.comparison.measure_rows import TITLES
from training.comparison.models import Comparison

ERRORS_SHOWN = 12
DECISION_WORDS = {CATARACT: "cataract", NORMAL: "no cataract", Decision.UNGRADABLE.value: "cannot judge"}
Point = dict[str, Any]
_RATES = ("sensitivity", "specificity", "precision", "negative_predictive_value", "accuracy", "f1", "ungradable")
_OF_PROBABILITY = ("roc_auc", "pr_auc", "sensitivity_at_95_specificity", "ece", "brier")
_NO_TEST = Paragraph("It has not been compared with another release on the labelled photos here yet.")


def rates(points: Sequence[Point], source: str) -> list[Block]:
    """The confusion matrix and the rates with their intervals. source: of the test photos, in words."""
    if not points:
        return [_NO_TEST]
    counts = Counter((point["truth"], point["decision"]) for point in points)
    rows = []
    for truth in (CATARACT, NORMAL):
        row = [counts[truth, decision] for decision in DECISION_WORDS]
        rows.append([DECISION_WORDS[truth], *map(str, row), str(sum(row))])
    judged = [point for point in points if point["decision"] != Decision.UNGRADABLE]
    return [
        Paragraph(
            f"{len(points)} test photos that this release was not fitted on: {source or 'weights not recorded'}."
        ),
        Table("Test photos by truth (down) and decision (across)", ["truth", *DECISION_WORDS.values(), "all"], rows),
        Table(
            "With 95 % intervals by patient",
            ["measure", "all photos; cannot judge counts as positive", "only photos that it judged"],
            [[TITLES[name], *(_measure(name, of) for of in (points, judged))] for name in _RATES],
        ),
        Paragraph(
            "A photo that cannot be judged is referred to a person, so it counts as positive (intention to screen). "
            "Predictive values hold only for the share of cataract among these photos. Every measure is defined in "
            "docs/measures.md."
        ),
    ]


def subgroups(comparison: Comparison | None) -> list[Block]:
    """Each subgroup with its sensitivity and specificity and how it compares with the champion."""
    rows = comparison.report["subgroups"] if comparison else []
    if not rows:
        return [_NO_TEST]
    cells = [
        [
            f"{row['group']}: {row['value']}",
            str(row["n"]),
            *(_paired(row[name]) for name in ("sensitivity", "specificity")),
            row["reason"],
        ]
        for row in rows
    ]
    head = ["subgroup", "photos", "sensitivity", "specificity", "against the champion"]
    note = "In brackets: the difference to the champion on the same photos, its 95 % interval, and n."
    return [Table("", head, cells), Paragraph(note)]


def calibration(points: Sequence[Point]) -> list[Block]:
    """Probability measures and the reliability diagram."""
    judged = [point for point in points if point["probability"] is not None]
    if not judged:
        return [_NO_TEST]
    p = np.array([point["probability"] for point in judged])
    y = np.array([point["truth"] == CATARACT for point in judged], dtype=np.int64)
    figures = [[TITLES[name], _measure(name, judged)] for name in _OF_PROBABILITY]
    places = np.minimum((p * 10).astype(int), 9)
    w = np.array([point.get("weight", 1.0) for point in judged])
    bins = [
        (b, *(float(np.average(x[places == b], weights=w[places == b])) for x in (p, y))) for b in np.unique(places)
    ]
    rows = [
        [f"{b / 10:.1f} to {b / 10 + 0.1:.1f}", number(stated), number(observed), str(int((places == b).sum()))]
        for b, stated, observed in bins
    ]
    chart = charts.curve(
        "Stated probability against the share with cataract",
        [(stated, observed) for _, stated, observed in bins],
        x="stated probability",
        y="share with cataract",
        diagonal=True,
        dots=True,
    )
    return [
        Table(
            f"Of the {len(judged)} photos that it graded, with 95 % intervals by patient", ["measure", "value"], figures
        ),
        Chart(chart, "On the diagonal a stated probability is right.", millimetres=80),
        Table("", ["stated between", "mean stated", "share with cataract", "photos"], rows),
    ]


def gates(comparison: Comparison | None) -> list[Block]:
    """Every release gate with its verdict, and the flips."""
    if comparison is None:
        return [_NO_TEST]
    report = comparison.report
    rows = [
        [
            f"{gate['id']} {gate['title']}",
            "new labels" if gate["on"] == "since" else "test photos",
            _difference(gate),
            gate["verdict"].replace("_", " "),
            gate["reason"],
        ]
        for gate in report["gates"]
    ]
    flips = Counter(flip["kind"] for flip in report["flips"])
    causes = Counter(cause.get_cause_display() for cause in comparison.causes.all())
    stated = ", ".join(f"{cause}: {count}" for cause, count in causes.items()) or "none stated yet"
    return [
        Paragraph(f"Champion: {comparison.champion_id}. Compared {comparison.created_at:%Y-%m-%d %H:%M} UTC."),
        Table("", ["gate", "on", "difference, 95 % interval", "verdict", "reason"], rows),
        Paragraph(
            f"{flips['right_to_wrong']} photos turn from right to wrong, {flips['wrong_to_right']} from wrong to "
            f"right; McNemar's exact p is {number(report['mcnemar']['p'])}. Causes that people stated: {stated}."
        ),
    ]


def errors(points: Sequence[Point]) -> list[Block]:
    """The test photos whose decision is not the truth, the surest first."""
    if not points:
        return [_NO_TEST]
    wrong = [point for point in points if point["decision"] != point["truth"]]
    if not wrong:
        return [Paragraph("None of the test photos.")]
    surest = sorted(wrong, key=lambda point: -abs((point["probability"] or 0.5) - 0.5))[:ERRORS_SHOWN]
    photos = [
        (
            str(point["image"]),
            f"Truth: {DECISION_WORDS[point['truth']]}. Decision: {DECISION_WORDS[point['decision']]} "
            f"{number(point['probability'], 2)}{', sent to a person' if point['needs_review'] else ', decided alone'}.",
        )
        for point in surest
    ]
    return [Paragraph(f"{len(wrong)} of {len(points)} test photos; the surest {len(photos)} first."), Photos(photos)]


def _measure(name: str, points: Sequence[Point]) -> str:
    """A measure of these photos with its interval and n."""
    answers = Answers.of(
        [point["truth"] == CATARACT for point in points],
        [point["decision"] for point in points],
        [np.nan if point["probability"] is None else point["probability"] for point in points],
        weight=[point.get("weight", 1.0) for point in points],
        clusters=[str(point["cluster"]) for point in points],
    )
    found = estimate(name, answers)
    return f"{interval(found)}, n {found.n}"


def _paired(row: dict[str, Any]) -> str:
    return "-" if row["difference"] is None else f"{number(row['challenger'])} ({_difference(row)})"


def _difference(row: dict[str, Any]) -> str:
    """The difference to the champion with its interval, where there is one, and n."""
    if row["difference"] is None or row["low"] is None:
        return f"n {row['n']}" if "n" in row else "-"
    return f"{row['difference']:+.3f}, {row['low']:.3f} to {row['high']:.3f}, n {row.get('n', '-')}"
