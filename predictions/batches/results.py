"""The results of a batch: its files in order, each with its outcome, as rows and as CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import Count, Q, QuerySet

from cataract.core.csv_cells import safe_cell
from predictions.answering.models import Prediction
from predictions.batches.models import Batch, BatchItem
from predictions.photos.models import EyeImage
from predictions.results.wording import confidence

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
)
_CHUNK = 200


def items_with_results(batch: Batch) -> QuerySet[BatchItem]:
    """The files of a batch in the order they were sent, without those whose photo is deleted."""
    shown = batch.items.exclude(prediction__image__in=EyeImage.objects.deleted())
    return shown.select_related("prediction__image", "batch").order_by("position")


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


def csv_lines(batch: Batch, disclose: Callable[[list[Prediction]], None]) -> Iterator[str]:
    """The results as CSV, line by line; `disclose` gets the predictions of each chunk before its lines are yielded."""
    yield _line(COLUMNS)
    chunk: list[BatchItem] = []
    for item in items_with_results(batch).iterator(chunk_size=_CHUNK):
        chunk.append(item)
        if len(chunk) == _CHUNK:
            yield from _lines_of(chunk, disclose)
            chunk = []
    yield from _lines_of(chunk, disclose)


def _lines_of(items: list[BatchItem], disclose: Callable[[list[Prediction]], None]) -> Iterator[str]:
    disclose(shown_predictions(items))
    for item in items:
        yield _line(_values(item, result_of(item)))


def _values(item: BatchItem, found: Prediction | None) -> list[Any]:
    cells = [item.name, item.status, item.code, item.message, item.patient_key, item.eye]
    if found is None:
        return [*cells, "", "", "", "", "", "", ""]
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
    ]


def _line(values: Iterable[Any]) -> str:
    """One CSV line in which no cell runs as a formula."""
    file = io.StringIO()
    csv.writer(file).writerow([safe_cell(value) for value in values])
    return file.getvalue()
