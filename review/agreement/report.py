"""Agreement of readers with each other, with themselves and with the truth, and how the AI influences them.

Reads rows and computes with `review/agreement/estimates.py`; changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import NamedTuple
from uuid import UUID

from django.utils.timezone import get_default_timezone, localtime

from cataract.ml.statistics.intervals import Estimate
from predictions.answering.answers import Answer, contradicts
from review.agreement import estimates
from review.agreement.estimates import Measure
from review.cases.models import Reading, ReviewCase, ShownFirst
from review.labels.models import Label
from review.queue import policy

MIN_SHARED = 10  # cases that two readers must share before they get a kappa of their own
PAIRS = 12  # pairs of readers shown at most
CASE, CONTROL, REPEAT = ReviewCase.Kind.CASE, ReviewCase.Kind.CONTROL, ReviewCase.Kind.REPEAT
SWITCHES = {
    ("wrong", "right"): "wrong, then right",
    ("right", "wrong"): "right, then wrong",
    ("right", "right"): "right, and kept",
    ("wrong", "wrong"): "wrong, and kept",
}


class ReadingRow(NamedTuple):
    """One standing reading, with the facts needed to judge it."""

    case: UUID
    reader: str
    role: str
    blind: str
    final: str
    ai_first: bool
    ai_shown: bool
    kind: str
    known: str
    cluster: int
    decision: str
    reasons: Sequence[str]
    month: str


@dataclass(frozen=True)
class Confusion:
    """One reader's confusion matrix: how often each answer was given to each true answer."""

    reader: str
    sensitivity: Estimate
    specificity: Estimate
    rows: list[tuple[str, list[int]]]  # true answer, counts in the order of `Answer`
    n: int


@dataclass(frozen=True)
class Differed:
    """What readers did when the AI differed from their blind answer."""

    shown: int
    measures: list[Measure]
    switches: list[tuple[str, int]]
    known: int  # of those shown, how many an adjudicator decided


@dataclass(frozen=True)
class Report:
    between: list[Measure]
    pairs: list[Measure]
    controls: list[Measure]
    repeats: list[Measure]
    confusions: list[Confusion]
    differed: Differed
    anchoring: list[Measure]
    readings: int


def report(since: datetime | None = None) -> Report:
    """Every figure about readers, from readings since then (None: all)."""
    readings = _readings(since)
    cases = [each for each in readings if each.kind == CASE]
    truth = _adjudicated()
    return Report(
        between=_between_readers(cases),
        pairs=_pairs(cases),
        controls=_hidden_checks(readings, CONTROL),
        repeats=_hidden_checks(readings, REPEAT),
        confusions=_confusions(readings, truth),
        differed=_differed(cases, truth),
        anchoring=_anchoring(cases),
        readings=len(readings),
    )


def of_period(since: datetime, until: datetime) -> tuple[Estimate, Estimate]:
    """Kappa of the cases that two people read by chance; and how often first blind answers agree with the AI."""
    return _agreement([each for each in _readings(since, until) if each.kind == CASE])


def by_month(since: datetime, until: datetime) -> dict[str, tuple[Estimate, Estimate]]:
    """The same by month of the reading."""
    months: dict[str, list[ReadingRow]] = defaultdict(list)
    for each in _readings(since, until):
        if each.kind == CASE:
            months[each.month].append(each)
    return {month: _agreement(rows) for month, rows in sorted(months.items())}


def _agreement(cases: list[ReadingRow]) -> tuple[Estimate, Estimate]:
    return _random_kappa(cases), _anchoring(cases)[0].estimate


def _readings(since: datetime | None, until: datetime | None = None) -> list[ReadingRow]:
    shown_first = set(ShownFirst.objects.values_list("case_id", "reader_id"))
    rows = Reading.objects.standing().exclude(role=Reading.Role.ADJUDICATOR)
    if since is not None:
        rows = rows.filter(blind_at__gte=since)
    if until is not None:
        rows = rows.filter(blind_at__lt=until)
    readings = []
    for row in rows.order_by("blind_at", "pk").values(
        "case_id", "reader_id", "reader__username", "role", "blind_answer", "final_answer", "ai_shown_first",
        "ai_shown_at", "case__kind", "case__known_answer", "case__image__cluster_id", "case__prediction__decision",
        "case__prediction__reasons", "blind_at",
    ).iterator():  # fmt: skip
        ai_first = bool(row["ai_shown_first"])
        if ai_first and (row["case_id"], row["reader_id"]) not in shown_first:
            continue  # read again after an undo: neither blind nor part of the comparison
        readings.append(
            ReadingRow(
                case=row["case_id"],
                reader=row["reader__username"],
                role=row["role"],
                blind=row["blind_answer"],
                final=row["final_answer"],
                ai_first=ai_first,
                ai_shown=row["ai_shown_at"] is not None and not ai_first,
                kind=row["case__kind"],
                known=row["case__known_answer"],
                cluster=row["case__image__cluster_id"],
                decision=row["case__prediction__decision"] or "",
                reasons=row["case__prediction__reasons"] or (),
                month=f"{localtime(row['blind_at'], get_default_timezone()):%Y-%m}",
            )
        )
    return readings


def _adjudicated() -> dict[UUID, str]:
    """The answer of each case that an adjudicator decided."""
    labels = Label.objects.standing().filter(provenance=Label.Provenance.ADJUDICATED, case__isnull=False)
    return {case: answer for case, answer in labels.values_list("case_id", "answer") if case is not None}


# Between readers ------------------------------------------------------------------------------------------------------
def _read_twice(readings: Iterable[ReadingRow]) -> dict[UUID, list[ReadingRow]]:
    """The blind readings of each case that has at least two."""
    by_case: dict[UUID, list[ReadingRow]] = defaultdict(list)
    for each in readings:
        if not each.ai_first:
            by_case[each.case].append(each)
    return {case: blind for case, blind in by_case.items() if len(blind) > 1}


def _between_readers(readings: list[ReadingRow]) -> list[Measure]:
    """Kappa of first and second reader and alpha of all; only the random share describes the readers."""
    read_twice = _read_twice(readings)
    random = {case: blind for case, blind in read_twice.items() if policy.is_read_twice_by_chance(case)}
    measures = []
    for name, cases, note in (
        ("random share", random, "read twice regardless of the first answer"),
        ("all read twice", read_twice, "mostly cases where a reader differed from the AI or was unsure"),
    ):
        clusters = [blind[0].cluster for blind in cases.values()]
        pairs = [(blind[0].blind, blind[1].blind) for blind in cases.values()]
        answers = [[each.blind for each in blind] for blind in cases.values()]
        measures.append(Measure(f"Cohen's kappa, {name}", estimates.cohen_kappa(pairs, clusters), note))
        alpha = estimates.krippendorff_alpha(answers, clusters)
        measures.append(Measure(f"Krippendorff's alpha, {name}", alpha, note))
    return measures


def _random_kappa(readings: list[ReadingRow]) -> Estimate:
    """Cohen's kappa of the cases that two people read by chance."""
    cases = [rows for case, rows in _read_twice(readings).items() if policy.is_read_twice_by_chance(case)]
    pairs = [(rows[0].blind, rows[1].blind) for rows in cases]
    return estimates.cohen_kappa(pairs, [rows[0].cluster for rows in cases])


def _pairs(readings: list[ReadingRow]) -> list[Measure]:
    shared: dict[tuple[str, str], list[tuple[str, str, int]]] = defaultdict(list)
    for blind in _read_twice(readings).values():
        for one, other in combinations(sorted(blind, key=lambda each: each.reader), 2):
            shared[one.reader, other.reader].append((one.blind, other.blind, one.cluster))
    often = [(names, rows) for names, rows in shared.items() if len(rows) >= MIN_SHARED]
    often.sort(key=lambda pair: -len(pair[1]))
    return [
        Measure(f"{one} and {other}", estimates.cohen_kappa([row[:2] for row in rows], [row[2] for row in rows]))
        for (one, other), rows in often[:PAIRS]
    ]


# Against what is known ------------------------------------------------------------------------------------------------
def _hidden_checks(readings: list[ReadingRow], kind: str) -> list[Measure]:
    """How often hidden checks got the known answer: the right one (controls), or the earlier one (repeats)."""
    checks = [each for each in readings if each.kind == kind]
    measures = [Measure("All readers", estimates.share(sum(c.blind == c.known for c in checks), len(checks)))]
    if kind == REPEAT:
        kappa = estimates.cohen_kappa([(c.known, c.blind) for c in checks], [c.cluster for c in checks])
        measures.append(Measure("Kappa with the earlier answer", kappa))
    for reader in sorted({each.reader for each in checks}):
        own = [each for each in checks if each.reader == reader]
        measures.append(Measure(reader, estimates.share(sum(c.blind == c.known for c in own), len(own))))
    return measures


def _confusions(readings: list[ReadingRow], truth: dict[UUID, str]) -> list[Confusion]:
    """Each reader's blind answers against adjudicated cases and controls, the reader with most answers first."""
    judged: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for each in readings:
        true = each.known if each.kind == CONTROL else truth.get(each.case, "") if each.kind == CASE else ""
        if true and not each.ai_first:
            judged[each.reader].append((true, each.blind))
    confusions = []
    for reader, pairs in sorted(judged.items(), key=lambda item: (-len(item[1]), item[0])):
        counts = Counter(pairs)
        rows = [(Answer(true).label, [counts[true, given] for given in Answer.values]) for true in Answer.values]
        confusions.append(
            Confusion(
                reader=reader,
                sensitivity=_recall(counts, Answer.CATARACT),
                specificity=_recall(counts, Answer.NORMAL),
                rows=[row for row in rows if any(row[1])],
                n=len(pairs),
            )
        )
    return confusions


def _recall(counts: Counter[tuple[str, str]], answer: str) -> Estimate:
    return estimates.share(counts[answer, answer], sum(n for (true, _), n in counts.items() if true == answer))


# People and the AI ----------------------------------------------------------------------------------------------------
def _differed(readings: list[ReadingRow], truth: dict[UUID, str]) -> Differed:
    """Blind answers that the AI contradicted, and the final answers after it was shown."""
    shown = [r for r in readings if r.ai_shown and r.final and contradicts(r.blind, r.decision, r.reasons)]
    kept = sum(each.final == each.blind for each in shown)
    known = [each for each in shown if each.case in truth]
    moves = Counter(
        tuple("right" if answer == truth[each.case] else "wrong" for answer in (each.blind, each.final))
        for each in known
    )
    better, worse = moves["wrong", "right"], moves["right", "wrong"]
    return Differed(
        shown=len(shown),
        measures=[
            Measure("Overruled the AI: kept the blind answer", estimates.share(kept, len(shown))),
            Measure("Wrong, then right", estimates.share(better, len(known))),
            Measure("Right, then wrong", estimates.share(worse, len(known))),
        ],
        switches=[(words, moves[move]) for move, words in SWITCHES.items()],
        known=len(known),
    )


def _anchoring(readings: list[ReadingRow]) -> list[Measure]:
    """How often first answers agree with the AI: read blind, and with the AI shown first to a random share."""
    first = [each for each in readings if each.role == Reading.Role.FIRST and each.decision]
    measures = []
    for name, ai_first in (("Read blind", False), ("The AI shown first", True)):
        arm = [each for each in first if each.ai_first == ai_first]
        agreed = sum(not contradicts(each.blind, each.decision, each.reasons) for each in arm)
        measures.append(Measure(name, estimates.share(agreed, len(arm))))
    return measures
