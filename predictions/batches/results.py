"""The results of a batch: its files in order, each with its outcome, as rows, in groups and as CSV."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    TextChoices,
    Value,
    When,
)

from cataract.core.csv_cells import csv_lines
from cataract.ml.labels import CLASSES, Reason
from predictions.answering.answers import Answer
from predictions.answering.models import FinalResult, Prediction
from predictions.batches.models import Batch, BatchItem
from predictions.photos.models import EyeImage
from predictions.results.wording import confidence, scope_of

COLUMNS = (
    "file",
    "status",
    "code",
    "message",
    "patient",
    "eye",
    "prediction_id",
    "prediction_status",
    "prediction",
    "confidence",
    "needs_review",
    "reasons",
    "release",
    "state",
    "final_answer",
    "final_detail",
    "final_basis",
    "final_at",
    "contradicts_ai",
    "scope",
)
_CHUNK = 200


class Group(TextChoices):
    """What a file of a batch has come to, as a page sums it up: people's answer first, then the AI's."""

    CATARACT = Answer.CATARACT.value, "Probably cataract"
    NORMAL = Answer.NORMAL.value, "No sign of cataract"
    UNGRADABLE = Answer.UNGRADABLE.value, "Cannot judge"
    OTHER = Answer.OTHER.value, "Another finding"
    CLINICIAN = "clinician", "Needs a clinician"
    IN_PROGRESS = "in_progress", "In progress"
    ALREADY_SENT = "already_sent", "Already sent"
    REFUSED = "refused", "Refused"
    WAITING = "waiting", "Waiting"


ALWAYS_SHOWN = (Group.CATARACT, Group.NORMAL, Group.UNGRADABLE, Group.CLINICIAN, Group.REFUSED)
PENDING = "pending"  # across the groups: a clinician has yet to answer


def items_with_results(batch: Batch) -> QuerySet[BatchItem]:
    """The files of a batch in the order they were sent, without those whose photo is deleted."""
    shown = Prefetch("prediction", Prediction.objects.as_shown())
    kept = batch.items.exclude(prediction__image__in=EyeImage.objects.deleted())
    return kept.select_related("batch").prefetch_related(shown).order_by("position")


def result_of(item: BatchItem) -> Prediction | None:
    """The prediction of a file; None when there is none or another user uploaded the photo."""
    found = item.prediction
    mine = found is not None and found.image.uploaded_by_id == item.batch.requested_by_id
    return found if mine else None


def shown_predictions(items: Iterable[BatchItem]) -> list[Prediction]:
    """The predictions that a list of results shows."""
    return [found for found in map(result_of, items) if found is not None]


def progress_of(batch: Batch) -> dict[str, int]:
    """The number of files by status: waiting, stored, known, refused."""
    counts = {status.value: Count("pk", filter=Q(status=status)) for status in BatchItem.Status}
    found: dict[str, int] = batch.items.aggregate(**counts)
    return found


# Groups ---------------------------------------------------------------------------------------------------------------
def in_group(items: QuerySet[BatchItem], show: str) -> QuerySet[BatchItem]:
    """The files of one `Group`, or those that are PENDING; all of them for any other word."""
    if show == PENDING:
        return _grouped(items).filter(is_pending=True)
    return _grouped(items).filter(group=show) if show in Group.values else items


def count_groups(batch: Batch) -> dict[str, int]:
    """The number of files in each `Group`, and PENDING."""
    files = _grouped(batch.items.order_by())
    counts = {group.value: Count("pk", filter=Q(group=group)) for group in Group}
    found: dict[str, int] = files.aggregate(**counts, **{PENDING: Count("pk", filter=Q(is_pending=True))})
    return found


def unseen_answers(batch: Batch, user: User) -> QuerySet[Prediction]:
    """The answers in a batch that are not recorded as shown to `user`: whoever sees their sums, sees them."""
    own = Prediction.objects.filter(pk__in=batch.items.values("prediction"), image__uploaded_by=batch.requested_by_id)
    told = Exists(FinalResult.objects.standing().filter(prediction=OuterRef("pk")))
    return own.as_shown().filter(~Q(decision="") | Q(told)).exclude(disclosures__user=user)


def _grouped(items: QuerySet[BatchItem]) -> QuerySet[Any]:
    """The files with their `group`, and whether a clinician `is_pending`, as `wording.describe` says it of each."""
    standing = FinalResult.objects.standing().filter(prediction=OuterRef("prediction"))
    told = Subquery(standing.by_people().values("answer")[:1])
    checked = Q(prediction__decision__in=CLASSES, prediction__needs_review=True)
    group = Case(
        When(status=BatchItem.Status.REFUSED, then=Value(Group.REFUSED)),
        When(status=BatchItem.Status.WAITING, then=Value(Group.WAITING)),
        When(is_own=False, then=Value(Group.ALREADY_SENT)),
        When(prediction__status=Prediction.Status.QUEUED, then=Value(Group.IN_PROGRESS)),
        When(told__in=[Answer.CATARACT, Answer.NORMAL, Answer.UNGRADABLE], then=F("told")),
        When(told=Answer.NOT_AN_EYE, then=Value(Group.UNGRADABLE)),
        When(told__isnull=False, then=Value(Group.OTHER)),
        When(checked & Q(prediction__reasons=[Reason.AUDIT_SAMPLE]), then=F("prediction__decision")),
        When(checked | Q(prediction__decision=""), then=Value(Group.CLINICIAN)),
        default=F("prediction__decision"),
        output_field=CharField(),
    )
    is_own = Case(When(prediction__image__uploaded_by=F("batch__requested_by"), then=True), default=False)
    is_answered = Q(is_own=True) & ~Q(prediction__status=Prediction.Status.QUEUED)
    is_pending = Case(When(is_answered & ~Exists(standing), then=True), default=False)
    return items.annotate(is_own=is_own, told=told).annotate(group=group, is_pending=is_pending)


# CSV ------------------------------------------------------------------------------------------------------------------
def results_csv(batch: Batch, disclose: Callable[[list[Prediction]], None]) -> Iterator[str]:
    """The results as CSV, line by line; `disclose` gets the predictions of each chunk before its lines are yielded."""
    return csv_lines(_rows(batch, disclose))


def _rows(batch: Batch, disclose: Callable[[list[Prediction]], None]) -> Iterator[Iterable[Any]]:
    yield COLUMNS
    items = items_with_results(batch).iterator(chunk_size=_CHUNK)
    while chunk := list(islice(items, _CHUNK)):
        disclose(shown_predictions(chunk))
        for item in chunk:
            yield _values(item, result_of(item))


def _values(item: BatchItem, found: Prediction | None) -> list[Any]:
    """One row, by COLUMNS."""
    cells = [item.name, item.status, item.code, item.message, item.patient_key, item.eye]
    if found is None:
        return [*cells, *[""] * (len(COLUMNS) - len(cells))]
    sure = confidence(found)
    return [
        *cells,
        found.pk,
        found.status,
        found.decision,
        "" if sure is None else round(sure, 4),
        "yes" if found.needs_review else "no",
        " ".join(found.reasons),
        found.release_id or "",
        found.state.value,
        *_final(found.final_result),
        scope_of(found),
    ]


def _final(result: FinalResult | None) -> list[Any]:
    if result is None:
        return [""] * 5
    told = "yes" if result.contradicts_ai else "no"
    return [result.answer, result.detail, result.basis, result.at.isoformat(), told]
