"""What the newest comparison shows about a release: rates, subgroups, calibration, gates and errors on the test photos.

`points` are the test photos of `gates.judge`: image, cluster, truth, decision, probability, needs_review.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cataract.core import charts
from cataract.core.documents.document import Block, Chart, Paragraph, Photos, Table, interval, number
from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics import metrics
from cataract.ml.statistics.intervals import weighted_share
from training.comparison.models import Comparison

ERRORS_SHOWN = 12
DECISION_WORDS = {CATARACT: "cataract", NORMAL: "no cataract", Decision.UNGRADABLE.value: "cannot judge"}
Point = dict[str, Any]
Test = Callable[[Point], bool]
# Each a share: of the points for which the first holds, those for which the second does.
_RATES: tuple[tuple[str, Test, Test], ...] = (
    ("sensitivity", lambda p: p["truth"] == CATARACT, lambda p: p["decision"] != NORMAL),
    ("specificity", lambda p: p["truth"] == NORMAL, lambda p: p["decision"] == NORMAL),
    ("positive predictive value", lambda p: p["decision"] != NORMAL, lambda p: p["truth"] == CATARACT),
    ("negative predictive value", lambda p: p["decision"] == NORMAL, lambda p: p["truth"] == NORMAL),
)
_NO_TEST = Paragraph("It has not been compared with another release on the labelled photos here yet.")


def rates(points: Sequence[Point]) -> list[Block]:
    """The confusion matrix and the four rates with their intervals."""
    if not points:
        return [_NO_TEST]
    counts = Counter((point["truth"], point["decision"]) for point in points)
    rows = []
    for truth in (CATARACT, NORMAL):
        row = [counts[truth, decision] for decision in DECISION_WORDS]
        rows.append([DECISION_WORDS[truth], *map(str, row), str(sum(row))])
    judged = [point for point in points if point["decision"] != Decision.UNGRADABLE]
    return [
        Table("Test photos by truth (down) and decision (across)", ["truth", *DECISION_WORDS.values(), "all"], rows),
        Table(
            "With 95 % intervals by patient",
            ["measure", "all photos; cannot judge counts as positive", "only photos that it judged"],
            [[name, *(_rate(among, given, hit) for among in (points, judged))] for name, given, hit in _RATES],
        ),
        Paragraph(
            "A photo that cannot be judged is referred to a person, so it counts as positive (intention to screen). "
            "Predictive values hold only for the share of cataract among these photos."
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
            *(number(row[name]["challenger"]) for name in ("sensitivity", "specificity")),
            row["reason"],
        ]
        for row in rows
    ]
    return [Table("", ["subgroup", "photos", "sensitivity", "specificity", "against the champion"], cells)]


def calibration(points: Sequence[Point]) -> list[Block]:
    """Probability measures and the reliability diagram."""
    judged = [point for point in points if point["probability"] is not None]
    if not judged:
        return [_NO_TEST]
    p = np.array([point["probability"] for point in judged])
    y = np.array([point["truth"] == CATARACT for point in judged], dtype=np.int64)
    values = metrics.evaluate(y, p, clusters=np.array([str(point["cluster"]) for point in judged]))
    figures = [
        [title, interval(values[name])]
        for name, title in (("roc_auc", "ROC-AUC"), ("pr_auc", "PR-AUC"), ("ece", "ECE"), ("brier", "Brier score"))
    ]
    places = np.minimum((p * 10).astype(int), 9)
    bins = [(b, float(p[places == b].mean()), float(y[places == b].mean())) for b in np.unique(places)]
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
        Table("With 95 % intervals by patient", ["measure", "value"], figures),
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
            "new labels" if gate["on"] == "since" else "test set",
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
        Table("", ["gate", "on", "verdict", "reason"], rows),
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


def _rate(points: Sequence[Point], given: Test, hit: Test) -> str:
    chosen = [point for point in points if given(point)]
    share = weighted_share(
        [hit(point) for point in chosen], np.ones(len(chosen)), [point["cluster"] for point in chosen]
    )
    return f"{interval(share)}, n {share.n}"
