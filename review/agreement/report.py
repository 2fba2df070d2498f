"""How far readers agree with each other, with themselves and with the truth, and what the AI does to them.

Reads rows, computes with `review/agreement/estimates.py`, changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from review.agreement import estimates
from review.agreement.estimates import Estimate, Measure
from review.cases.answers import Answer
from review.cases.models import Reading, ReviewCase, ShownFirst
from review.labels.models import Label
from review.queue import policy

FEWEST = 10  # cases that two readers share before their own kappa is worth a line
CASE, CONTROL, REPEAT = ReviewCase.Kind.CASE, ReviewCase.Kind.CONTROL, ReviewCase.Kind.REPEAT
SWITCHES = {
    ("wrong", "right"): "wrong, then right",
    ("right", "wrong"): "right, then wrong",
    ("right", "right"): "right, and stayed so",
    ("wrong", "wrong"): "wrong, and stayed so",
}


class Given(NamedTuple):
    """One standing reading, with what is needed to judge it."""

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


@dataclass(frozen=True)
class Confusion:
    """One reader against the truth: how often each answer was given to each true answer."""

    reader: str
    sensitivity: Estimate
    specificity: Estimate
    rows: list[tuple[str, list[int]]]  # true answer, counts in the order of `Answer`
    n: int


@dataclass(frozen=True)
class Ledger:
    """What readers did when the AI turned out to differ from their blind answer."""

    shown: int
    measures: list[Measure]
    switches: list[tuple[str, int]]
    known: int  # of those shown, how many have a settled truth


@dataclass(frozen=True)
class Report:
    between: list[Measure]
    pairs: list[Measure]
    controls: list[Measure]
    repeats: list[Measure]
    confusions: list[Confusion]
    ledger: Ledger
    anchoring: list[Measure]
    readings: int


def report(since: datetime | None = None) -> Report:
    """Every figure about readers, from the readings since then (None: from all)."""
    given = _given(since)
    cases = [each for each in given if each.kind == CASE]
    truth = _settled()
    return Report(
        between=_between(cases),
        pairs=_pairs(cases),
        controls=_checks(given, CONTROL),
        repeats=_checks(given, REPEAT),
        confusions=_confusions(given, truth),
        ledger=_ledger(cases, truth),
        anchoring=_anchoring(cases),
        readings=len(given),
    )


def _given(since: datetime | None) -> list[Given]:
    on_purpose = set(ShownFirst.objects.values_list("case_id", "reader_id"))
    rows = Reading.objects.filter(retracted_at__isnull=True).exclude(role=Reading.Role.ADJUDICATOR)
    if since is not None:
        rows = rows.filter(blind_at__gte=since)
    found = []
    for row in rows.order_by("blind_at", "pk").values(
        "case_id", "reader_id", "reader__username", "role", "blind_answer", "final_answer", "ai_shown_first",
        "ai_shown_at", "case__kind", "case__known_answer", "case__image__cluster_id", "case__prediction__decision",
    ).iterator():  # fmt: skip
        ai_first = bool(row["ai_shown_first"])
        if ai_first and (row["case_id"], row["reader_id"]) not in on_purpose:
            continue  # read again after undoing: neither blind nor part of the comparison
        found.append(
            Given(
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
            )
        )
    return found


def _settled() -> dict[UUID, str]:
    """The answer of each case that an adjudicator decided."""
    labels = Label.objects.standing().filter(provenance=Label.Provenance.ADJUDICATED, case__isnull=False)
    return {case: answer for case, answer in labels.values_list("case_id", "answer") if case is not None}


# Between readers ------------------------------------------------------------------------------------------------------
def by_chance(case: UUID) -> bool:
    """Whether a case is in the random share that two people read, whatever they say: the draw of `queue`."""
    rate: float = settings.REVIEW_SECOND_READ_RATE
    return policy.fraction(f"second:{case}") < rate


def _by_case(given: Iterable[Given]) -> dict[UUID, list[Given]]:
    found: dict[UUID, list[Given]] = defaultdict(list)
    for each in given:
        if not each.ai_first:
            found[each.case].append(each)
    return {case: blind for case, blind in found.items() if len(blind) > 1}


def _between(given: list[Given]) -> list[Measure]:
    """Kappa of first and second reader and alpha of all; the random share is what describes the readers."""
    together = _by_case(given)
    random = {case: blind for case, blind in together.items() if by_chance(case)}
    measures = []
    for name, cases, note in (
        ("random share", random, "read twice whatever was said"),
        ("all read twice", together, "mostly cases that were chosen because somebody differed or was unsure"),
    ):
        clusters = [blind[0].cluster for blind in cases.values()]
        pairs = [(blind[0].blind, blind[1].blind) for blind in cases.values()]
        answers = [[each.blind for each in blind] for blind in cases.values()]
        measures.append(Measure(f"Cohen's kappa, {name}", estimates.cohen_kappa(pairs, clusters), note))
        alpha = estimates.krippendorff_alpha(answers, clusters)
        measures.append(Measure(f"Krippendorff's alpha, {name}", alpha, note))
    return measures


def _pairs(given: list[Given]) -> list[Measure]:
    shared: dict[tuple[str, str], list[tuple[str, str, int]]] = defaultdict(list)
    for blind in _by_case(given).values():
        for one, other in combinations(sorted(blind, key=lambda each: each.reader), 2):
            shared[one.reader, other.reader].append((one.blind, other.blind, one.cluster))
    often = sorted(((names, rows) for names, rows in shared.items() if len(rows) >= FEWEST), key=lambda x: -len(x[1]))
    return [
        Measure(f"{one} and {other}", estimates.cohen_kappa([row[:2] for row in rows], [row[2] for row in rows]))
        for (one, other), rows in often[:12]
    ]


# Against what is known ------------------------------------------------------------------------------------------------
def _checks(given: list[Given], kind: str) -> list[Measure]:
    """How often hidden checks were answered as known: right (controls), or as the reader did before (repeats)."""
    checks = [each for each in given if each.kind == kind]
    measures = [Measure("All readers", estimates.share(sum(c.blind == c.known for c in checks), len(checks)))]
    if kind == REPEAT:
        kappa = estimates.cohen_kappa([(c.known, c.blind) for c in checks], [c.cluster for c in checks])
        measures.append(Measure("Kappa with oneself", kappa))
    for reader in sorted({each.reader for each in checks}):
        own = [each for each in checks if each.reader == reader]
        measures.append(Measure(reader, estimates.share(sum(c.blind == c.known for c in own), len(own))))
    return measures


def _confusions(given: list[Given], truth: dict[UUID, str]) -> list[Confusion]:
    """Each reader's blind answers against adjudicated truth and controls, the most-read reader first."""
    judged: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for each in given:
        true = each.known if each.kind == CONTROL else truth.get(each.case, "") if each.kind == CASE else ""
        if true and not each.ai_first:
            judged[each.reader].append((true, each.blind))
    found = []
    for reader, pairs in sorted(judged.items(), key=lambda item: (-len(item[1]), item[0])):
        counts = Counter(pairs)
        rows = [(Answer(true).label, [counts[true, said] for said in Answer.values]) for true in Answer.values]
        found.append(
            Confusion(
                reader=reader,
                sensitivity=_recall(counts, Answer.CATARACT),
                specificity=_recall(counts, Answer.NORMAL),
                rows=[row for row in rows if any(row[1])],
                n=len(pairs),
            )
        )
    return found


def _recall(counts: Counter[tuple[str, str]], answer: str) -> Estimate:
    return estimates.share(counts[answer, answer], sum(n for (true, _), n in counts.items() if true == answer))


# People and the AI ----------------------------------------------------------------------------------------------------
def _ledger(given: list[Given], truth: dict[UUID, str]) -> Ledger:
    """Blind answers that the AI contradicted, and what became of them once it was shown."""
    shown = [g for g in given if g.ai_shown and g.final and policy.contradicts(g.blind, g.decision)]
    kept = sum(each.final == each.blind for each in shown)
    known = [each for each in shown if each.case in truth]
    moves = Counter(
        tuple("right" if said == truth[each.case] else "wrong" for said in (each.blind, each.final)) for each in known
    )
    better, worse = moves["wrong", "right"], moves["right", "wrong"]
    return Ledger(
        shown=len(shown),
        measures=[
            Measure("Overrode the AI: kept the blind answer", estimates.share(kept, len(shown))),
            Measure("Wrong, then right", estimates.share(better, len(known))),
            Measure("Right, then wrong", estimates.share(worse, len(known))),
        ],
        switches=[(words, moves[move]) for move, words in SWITCHES.items()],
        known=len(known),
    )


def _anchoring(given: list[Given]) -> list[Measure]:
    """How often first answers agree with the AI, blind and with the AI shown first to a random share."""
    first = [each for each in given if each.role == Reading.Role.FIRST and each.decision]
    measures = []
    for name, ai_first in (("Read blind", False), ("The AI shown first", True)):
        arm = [each for each in first if each.ai_first == ai_first]
        agreed = sum(not policy.contradicts(each.blind, each.decision) for each in arm)
        measures.append(Measure(name, estimates.share(agreed, len(arm))))
    return measures
