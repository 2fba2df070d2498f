"""Export labels with their provenance as CSV, JSON Lines or a COCO-style manifest.

Labels are streamed one at a time, so a million need no more memory than a hundred.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from cataract.core.csv_cells import csv_lines
from predictions.answering.answers import Answer
from review.cases.models import Reading
from review.labels.models import Label

CHUNK = 2000  # labels read at a time, with their readings
_NOT_EXPORTED = (  # long columns: reading them would take longer than all the others
    "image__capture", "image__quality", "case__prediction__gate", "case__prediction__timings",
    "case__prediction__reasons",
)  # fmt: skip
SPOOL = 8_000_000  # bytes kept in memory before spilling to disk


def labels_to_export(*, training_only: bool = False) -> QuerySet[Label]:
    """Standing labels with everything an export names, oldest first; `training_only` keeps those that may train."""
    chosen = Label.objects.training() if training_only else Label.objects.standing().of_photos_in_use()
    readings = Reading.objects.order_by("blind_at", "pk")
    related = chosen.select_related("image__site", "image__patient", "case", "case__prediction")
    related = related.defer(*_NOT_EXPORTED)
    return related.prefetch_related(Prefetch("readings", queryset=readings)).order_by("created_at", "pk")


def record(label: Label, *, with_ai: bool) -> dict[str, Any]:
    """One label with its provenance. Readers are numbers, not names; `with_ai` adds the AI's answer."""
    image, case = label.image, label.case
    row: dict[str, Any] = {
        "label": str(label.pk),
        "answer": label.answer,
        "provenance": label.provenance,
        "may_train": label.may_train and image.may_train and image.withdrawn_at is None,
        "weight": label.weight,
        "labelled_at": label.created_at.isoformat(),
        "supersedes": str(label.supersedes_id or ""),
        "image": str(image.pk),
        "sha256": image.sha256,
        "file_name": file_name(label),
        "width": image.width,
        "height": image.height,
        "eye": image.eye,
        "site": image.site.name,
        "patient": image.patient_key,
        "cluster": image.cluster_id,
        "split": image.split,
        "always_read": image.always_read,
        "always_read_rate": image.always_read_rate,
        "case": str(case.pk) if case else "",
        "policy": case.policy_version if case else "",
        "chance_of_review": case.review_propensity if case else None,
        "readings": [_reading(reading, with_ai=with_ai) for reading in label.readings.all()],
    }
    if with_ai:
        prediction = case.prediction if case else None
        row["ai"] = {
            "release": prediction.release_id if prediction else None,
            "decision": prediction.decision if prediction else "",
            "probability": prediction.probability if prediction else None,
            "reasons": case.reasons if case else [],
        }
    return row


def _reading(reading: Reading, *, with_ai: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "reader": reading.reader_id,
        "role": reading.role,
        "blind_answer": reading.blind_answer,
        "answered_at": reading.blind_at.isoformat(),
        "final_answer": reading.final_answer,
        "grade": reading.grade,
        "detail": reading.detail,
        "unsure": reading.unsure,
        "note": reading.note,
    }
    if with_ai:
        row["ai_shown_at"] = reading.ai_shown_at.isoformat() if reading.ai_shown_at else None
    return row


def file_name(label: Label) -> str:
    """Path of a photo in an exported folder: split/answer/id."""
    image = label.image
    suffix = image.stored_name.rpartition(".")[2]
    return f"{image.split}/{label.answer}/{image.pk}.{suffix}"


# Formats --------------------------------------------------------------------------------------------------------------
def as_json_lines(labels: QuerySet[Label], *, with_ai: bool) -> Iterator[str]:
    """One JSON object per line."""
    for label in labels.iterator(chunk_size=CHUNK):
        yield json.dumps(record(label, with_ai=with_ai), ensure_ascii=False) + "\n"


def as_csv(labels: QuerySet[Label], *, with_ai: bool) -> Iterator[str]:
    """One row per label; the readings in one cell as JSON."""
    return csv_lines(_rows(labels, with_ai=with_ai))


def _rows(labels: QuerySet[Label], *, with_ai: bool) -> Iterator[list[Any]]:
    yield _columns(with_ai=with_ai)
    for label in labels.iterator(chunk_size=CHUNK):
        row = record(label, with_ai=with_ai)
        ai = row.pop("ai", {})
        row["readings"] = json.dumps(row["readings"], ensure_ascii=False)
        yield [*row.values(), *(_joined(value) for value in ai.values())]


def _columns(*, with_ai: bool) -> list[str]:
    columns = [
        "label", "answer", "provenance", "may_train", "weight", "labelled_at", "supersedes", "image", "sha256",
        "file_name", "width", "height", "eye", "site", "patient", "cluster", "split", "always_read",
        "always_read_rate", "case", "policy", "chance_of_review", "readings",
    ]  # fmt: skip
    return columns + ["ai_release", "ai_decision", "ai_probability", "ai_reasons"] * with_ai


def _joined(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value


def as_coco(labels: QuerySet[Label], *, with_ai: bool) -> Iterator[str]:
    """A COCO-style manifest of whole-image labels: images, annotations without boxes, categories."""
    numbers = {answer: number for number, answer in enumerate(Answer.values, start=1)}
    info = {"description": "Labels of eye photos", "date_created": timezone.now().isoformat(), "version": "1"}
    categories = [{"id": numbers[value], "name": value} for value in Answer.values]
    yield f'{{"info": {json.dumps(info)},\n"categories": {json.dumps(categories)},\n"images": ['
    # One pass: with two, a label that changed in between would shift all later numbers.
    with tempfile.SpooledTemporaryFile(max_size=SPOOL, mode="w+", encoding="utf-8") as annotations:
        for number, label in enumerate(labels.iterator(chunk_size=CHUNK), start=1):
            start = "\n" if number == 1 else ",\n"
            annotation = _coco_annotation(label, number, numbers[label.answer], with_ai=with_ai)
            annotations.write(start + json.dumps(annotation, ensure_ascii=False))
            yield start + json.dumps(_coco_image(label, number), ensure_ascii=False)
        annotations.seek(0)
        yield '],\n"annotations": ['
        yield from annotations
    yield "]}\n"


def _coco_image(label: Label, number: int) -> dict[str, Any]:
    image = label.image
    return {"id": number, "file_name": file_name(label), "width": image.width, "height": image.height}


def _coco_annotation(label: Label, number: int, category: int, *, with_ai: bool) -> dict[str, Any]:
    attributes = record(label, with_ai=with_ai)
    return {"id": number, "image_id": number, "category_id": category, "attributes": attributes}


@dataclass(frozen=True)
class Format:
    write: Callable[..., Iterator[str]]
    content_type: str
    extension: str


FORMATS = {
    "csv": Format(as_csv, "text/csv; charset=utf-8", "csv"),
    "jsonl": Format(as_json_lines, "application/x-ndjson", "jsonl"),
    "coco": Format(as_coco, "application/json", "json"),
}
