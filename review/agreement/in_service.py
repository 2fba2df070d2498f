"""Performance of the AI in service, estimated without bias from the cases that were read.

The photos of the stream are read whatever the AI says. Where enough of them are read, the figures are theirs,
unweighted. Until then they come from all cases: readers read all doubtful photos and a random sample of the sure ones,
so each case that was read stands for 1 / propensity photos. A photo that the AI cannot judge goes to a person, so it
counts as called cataract (docs/measures.md).
"""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils.timezone import localtime

from cataract.ml.labels import CATARACT, CLASSES, NORMAL, Decision, Reason, Route, is_sure
from cataract.ml.statistics.intervals import weighted_share
from predictions.answering.models import Prediction
from review.agreement import estimates
from review.agreement.estimates import Measure
from review.cases.models import ReviewCase
from review.labels.models import Label
from review.outcomes.models import Outcome
from review.outcomes.photos import with_photos

RELEASES = 6  # releases with figures of their own
_STAND_FOR_NONE = ([Reason.SUSPECTED_LABEL], [Reason.LOOK_BACK])  # chosen for what was known of them
ENOUGH = 30  # patients of the stream with, and without, cataract that make its figures the ones in service
ENOUGH_READ = 0.9  # of the stream: what is read late is mostly what readers differ on
FROM_STREAM = "patients always read, unweighted"
UNWEIGHTED = "mostly doubtful photos; not the performance in service"


class SampledCase(NamedTuple):
    """A case of a prediction, with its truth once it is read."""

    decision: str
    propensity: float
    release: str
    cluster: int
    patient: str
    made_at: datetime
    is_read: bool
    truth: str
    provenance: str
    sure: bool
    always_read: bool = False

    @property
    def is_positive(self) -> bool:
        """Whether the AI sends the patient on: cataract, or it cannot judge the photo."""
        return self.decision != NORMAL

    @property
    def is_right(self) -> bool:
        return self.is_positive == (self.truth == CATARACT)


def rows(since: datetime | None = None, *, where: Q | None = None) -> list[SampledCase]:
    """The cases of predictions, opened since then (None: all), of these cases alone."""
    cases = ReviewCase.objects.filter(
        kind=ReviewCase.Kind.CASE,
        prediction__status=Prediction.Status.DONE,
        prediction__decision__in=Prediction.Decision.values,
    ).exclude(status=ReviewCase.Status.WITHDRAWN)
    # Found by a check of the accurate model alone: chosen for what was known of them.
    cases = cases.exclude(prediction__route=Route.FAST, reasons=[Reason.DISAGREEMENT])
    if since is not None:
        cases = cases.filter(created_at__gte=since)
    if where is not None:
        cases = cases.filter(where)
    labels = {
        image: (answer, provenance)
        for image, answer, provenance in Label.objects.standing()
        .exclude(provenance=Label.Provenance.OUTCOME)  # known of some photos only: see `against_outcomes`
        .values_list("image_id", "answer", "provenance")
    }
    sampled = []
    for row in cases.values(
        "prediction__decision", "review_propensity", "prediction__release_id", "image_id", "image__cluster_id",
        "image__patient__key", "image__always_read", "prediction__created_at", "status", "reasons",
    ).iterator():  # fmt: skip
        if row["reasons"] in _STAND_FOR_NONE:
            continue
        resolved = row["status"] == ReviewCase.Status.RESOLVED
        truth, provenance = labels.get(row["image_id"], ("", "")) if resolved else ("", "")
        sampled.append(
            SampledCase(
                decision=row["prediction__decision"],
                propensity=row["review_propensity"],
                release=row["prediction__release_id"] or "",
                cluster=row["image__cluster_id"],
                patient=row["image__patient__key"] or "",
                made_at=row["prediction__created_at"],
                is_read=bool(truth),
                truth=truth,
                provenance=provenance,
                sure=is_sure(True, row["reasons"]),
                always_read=row["image__always_read"],
            )
        )
    return sampled


def of_stream(rows: list[SampledCase]) -> list[SampledCase]:
    """The cases of the stream, if enough of them are read to give the figures in service; else none."""
    drawn = [row for row in rows if row.always_read]
    read = sum(row.is_read for row in drawn)
    patients = [len({row.cluster for row in drawn if row.truth == truth}) for truth in CLASSES]
    return drawn if min(patients) >= ENOUGH and read >= ENOUGH_READ * len(drawn) else []


def source(rows: list[SampledCase]) -> str:
    """In words: from which photos `measures` come."""
    drawn = [row for row in rows if row.always_read]
    read = sum(row.is_read for row in drawn)
    if of_stream(rows):
        return (
            f"Source: patients who are always read, drawn before any answer. {read} of {len(drawn)} such photos are "
            "read; they count as they are, without weights, and describe every photo that came in."
        )
    with_cataract, without = (len({r.cluster for r in drawn if r.truth == t}) for t in (CATARACT, NORMAL))
    return (
        "Source: all cases. Readers read all doubtful photos and a random sample of the sure ones. Each photo is "
        "weighted by the inverse of its probability of being read, so these figures describe every photo that came in. "
        f"Of patients who are always read, {read} of {len(drawn)} photos are read so far (patients with cataract: "
        f"{with_cataract}, without: {without}). From {ENOUGH} of each on, and with {ENOUGH_READ:.0%} read, the figures "
        "come from them alone."
    )


def measures(rows: list[SampledCase]) -> list[Measure]:
    """Sensitivity and specificity in service, and the accuracy of sure answers: of the stream, if it is large enough.

    Else weighted and unweighted from all cases.
    """
    if stream := of_stream(rows):
        return _unweighted([row for row in stream if row.truth in CLASSES])
    # Urgent cases are read first. Weighting by class corrects for cases that are still waiting.
    shares = estimates.read_share([f"{r.decision} {r.propensity}" for r in rows], [r.is_read for r in rows])
    judged = [(r, r.propensity * s) for r, s in zip(rows, shares, strict=True) if r.truth in CLASSES]
    called, truth = [r.is_positive for r, _ in judged], [r.truth == CATARACT for r, _ in judged]
    clusters = [r.cluster for r, _ in judged]
    weighted, unweighted = estimates.live(
        called=called, truth=truth, propensity=[p for _, p in judged], clusters=clusters
    )
    sure = [(r, 1 / p) for r, p in judged if r.sure]
    right = weighted_share([r.is_right for r, _ in sure], [w for _, w in sure], [r.cluster for r, _ in sure])
    return [
        Measure("Sensitivity, all photos", weighted.sensitivity),
        Measure("Sensitivity, unweighted", unweighted.sensitivity, UNWEIGHTED),
        Measure("Specificity, all photos", weighted.specificity),
        Measure("Specificity, unweighted", unweighted.specificity, UNWEIGHTED),
        Measure("Sure answers that were correct", right, "random checks"),
    ]


def _unweighted(judged: list[SampledCase]) -> list[Measure]:
    """The same measures of the stream: plain shares, with intervals by patient."""

    def measure(name: str, rows: list[SampledCase]) -> Measure:
        hits, clusters = [row.is_right for row in rows], [row.cluster for row in rows]
        return Measure(name, weighted_share(hits, [1.0] * len(rows), clusters), FROM_STREAM)

    return [
        measure("Sensitivity, all photos", [row for row in judged if row.truth == CATARACT]),
        measure("Specificity, all photos", [row for row in judged if row.truth == NORMAL]),
        measure("Sure answers that were correct", [row for row in judged if row.sure]),
    ]


def cataract_by_month() -> list[Measure]:
    """The share of cataract among the readers' answers about the stream, by the month of the photo; the last twelve.

    A share that moves is a drift of the labels: other patients, or readers who answer otherwise.
    """
    found: dict[str, list[tuple[bool, int]]] = defaultdict(list)
    labels = Label.objects.standing().exclude(provenance=Label.Provenance.OUTCOME).always_read()
    rows = labels.filter(answer__in=CLASSES).order_by("image__created_at")
    for answer, sent, cluster in rows.values_list("answer", "image__created_at", "image__cluster_id"):
        found[f"{localtime(sent):%Y-%m}"].append((answer == CATARACT, cluster))
    return [
        Measure(month, weighted_share([hit for hit, _ in hits], [1.0] * len(hits), [c for _, c in hits]))
        for month, hits in list(found.items())[-12:]
    ]


def against_outcomes(since: datetime | None = None) -> list[Measure]:
    """Of the eyes in which an eye doctor found a cataract later: how many the AI, and the final result, had called.

    Counts eyes with a photo in the window before, answered since then (None: all); an eye is called if one of these
    photos was. Eyes of one patient count as one for the interval.
    """
    found = {
        image.pk: (outcome.patient_id, outcome.eye, outcome.seen_on)
        for image, outcome in with_photos(Outcome.objects.all())
        if outcome.cataract
    }
    predictions = Prediction.objects.filter(image__in=found, status=Prediction.Status.DONE).exclude(decision="")
    if since is not None:
        predictions = predictions.filter(created_at__gte=since)
    by_ai: dict[tuple[Any, ...], bool] = defaultdict(bool)
    in_the_end: dict[tuple[Any, ...], bool] = defaultdict(bool)
    for prediction in predictions.as_shown():
        eye, result = found[prediction.image_id], prediction.final_result
        by_ai[eye] |= prediction.decision == CATARACT
        in_the_end[eye] |= result is not None and result.answer == CATARACT
    patients = [str(patient) for patient, *_ in by_ai]
    return [
        Measure(name, weighted_share([called[eye] for eye in by_ai], [1.0] * len(by_ai), patients), note)
        for name, called, note in (
            ("The AI had said cataract", by_ai, ""),
            ("The final result said cataract", in_the_end, "provisional results included"),
        )
    ]


def per_release(rows: list[SampledCase]) -> list[tuple[str, list[Measure]]]:
    """The same for the releases with the most read cases, most read first."""
    names = Counter(row.release for row in rows if row.is_read)
    return [(name, measures([r for r in rows if r.release == name])) for name, _ in names.most_common(RELEASES)]


def counts(rows: list[SampledCase]) -> dict[str, int]:
    """How many cases were sampled and read; and of these labelled after the AI was shown, and of neither class."""
    return {
        "chosen": len(rows),
        "read": sum(row.is_read for row in rows),
        "after_ai": sum(row.provenance == Label.Provenance.AFTER_AI for row in rows),
        "neither": sum(row.is_read and row.truth not in CLASSES for row in rows),
        "cannot_judge": sum(row.is_read and row.decision == Decision.UNGRADABLE for row in rows),
    }
