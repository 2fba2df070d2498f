"""Freeze the confirmed labels as a fingerprinted Dataset, and preview what a run would train on."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, QuerySet, Value

from cataract.core.errors import DomainError
from cataract.ml.labels import CATARACT, CLASSES, NORMAL
from cataract.ml.learn.build.data_warnings import count_warnings
from predictions.photos.models import Split
from review.labels.models import Label
from training.change_control.rules import rules
from training.datasets.models import Dataset, DatasetItem
from training.datasets.selectors import LabelRow, dataset_labels, usable_labels

MOST_NAMED = 12  # sites, devices or readers in a preview


class NotEnoughLabels(DomainError):
    """There are too few confirmed labels for a dataset; the message says what is missing."""

    code, status = "not_enough_labels", 422


@dataclass(frozen=True)
class Preview:
    """What a run started now would train on.

    sources: (split, which labelled photos it takes), of calibration and test. counts: {split: {answer: photos}};
    clusters: {split: {answer: clusters}}; readers: (reader, labels that rest on a reading of theirs). warnings: what is
    doubtful about the photos of training and calibration, in sentences.
    """

    images: int
    sources: list[tuple[str, str]]
    counts: dict[str, dict[str, int]]
    clusters: dict[str, dict[str, int]]
    sites: list[tuple[str, int]]
    devices: list[tuple[str, int]]
    readers: list[tuple[str, int]]
    provenances: list[tuple[str, int]]
    excluded: list[tuple[str, int]]
    new_since_last: int
    fingerprint: str
    same_as_last: bool
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def fingerprint_of(labels: Iterable[LabelRow]) -> str:
    """sha256 over the sorted (image sha256, answer, split, weight, label id): equal for equal labels."""
    return _digest((row.sha256, row.answer, row.split, row.weight, row.label) for row in labels)


def _digest(rows: Iterable[tuple[str, str, str, float, UUID]]) -> str:
    texts = sorted((sha256, answer, split, repr(weight), str(label)) for sha256, answer, split, weight, label in rows)
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def preview() -> Preview:
    """Count what a run would use, what is left out and why, and what is missing. Stores nothing."""
    labels, always_read = dataset_labels()
    fingerprint = fingerprint_of(labels)
    last = Dataset.objects.first()
    known = set(last.items.values_list("label_id", flat=True)) if last else set()
    clusters = _clusters(labels)
    return Preview(
        images=len(labels),
        sources=_sources(labels, always_read),
        counts=_table(Counter((row.split, row.answer) for row in labels)),
        clusters=_table(clusters),
        sites=_ranked(row.site for row in labels),
        devices=_ranked(row.device or "" for row in labels),
        readers=_readers(always_read),
        provenances=_ranked(Label.Provenance(row.provenance).label for row in labels),
        excluded=_excluded(labels),
        new_since_last=sum(row.label not in known for row in labels),
        fingerprint=fingerprint,
        same_as_last=last is not None and last.fingerprint == fingerprint,
        missing=_missing(clusters),
        warnings=count_warnings(*_fitted(clusters)),
    )


def freeze_dataset(*, user: User | None) -> Dataset:
    """Return the Dataset of the confirmed labels as they are now; equal labels give the same row.

    Raises NotEnoughLabels.
    """
    while (dataset := _freeze(user)) is None:
        pass
    return dataset


def _freeze(user: User | None) -> Dataset | None:
    """The dataset; None where a label changed between reading and storing.

    Everything is read and computed before the transaction begins, because on SQLite no upload is stored meanwhile.
    """
    labels, always_read = dataset_labels()
    missing = _missing(_clusters(labels))
    if missing:
        raise NotEnoughLabels("There are not enough confirmed labels to train on: " + "; ".join(missing) + ".")
    counts = _table(Counter((row.split, row.answer) for row in labels))
    dataset = Dataset(fingerprint=fingerprint_of(labels), counts=counts, always_read=always_read, created_by=user)
    kept = Dataset.objects.filter(pk=dataset.fingerprint).first()
    if kept is not None:
        return kept
    try:
        with transaction.atomic():
            dataset.save(force_insert=True)
            _copy_labels(dataset)
            stored = dataset.items.values_list("image__sha256", "answer", "split", "weight", "label_id")
            if _digest(stored) != dataset.fingerprint:
                raise _LabelsChanged
    except _LabelsChanged:
        return None
    except IntegrityError:  # another process has frozen the same labels meanwhile
        return Dataset.objects.get(pk=dataset.fingerprint)
    return dataset


class _LabelsChanged(Exception):
    """The labels are not those that were read a moment ago."""


def _column(name: str) -> str:
    return str(DatasetItem._meta.get_field(name).column)  # type: ignore[union-attr]


def _copy_labels(dataset: Dataset) -> None:
    """Copy the labels as they are now into the dataset. One statement: a hundred thousand rows pass no Python."""
    columns: dict[str, Any] = {
        "dataset": Value(dataset.pk),
        "image": F("image_id"),
        "label": F("pk"),
        "answer": F("answer"),
        "split": F("image__split"),
        "cluster": F("image__cluster_id"),
        "weight": F("weight"),
    }
    rows = _chosen(dataset.always_read).order_by().values_list(*columns.values())
    names = ", ".join(connection.ops.quote_name(_column(name)) for name in columns)
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {connection.ops.quote_name(DatasetItem._meta.db_table)} ({names}) {sql}", params)


def _chosen(always_read: list[str]) -> QuerySet[Label]:
    """The labels of a dataset whose splits of these names take only patients that are always read."""
    return usable_labels().exclude(image__split__in=always_read, image__always_read=False)


def _clusters(labels: Iterable[LabelRow]) -> Counter[tuple[str, str]]:
    return Counter((split, answer) for split, answer, _ in {(row.split, row.answer, row.cluster) for row in labels})


def _fitted(clusters: Counter[tuple[str, str]]) -> tuple[int, int]:
    """(normal, cataract): the clusters that a run fits or calibrates on."""
    normal, cataract = (
        clusters[Split.TRAIN, answer] + clusters[Split.CALIBRATION, answer] for answer in (NORMAL, CATARACT)
    )
    return normal, cataract


def _missing(clusters: Counter[tuple[str, str]]) -> list[str]:
    """What a run lacks, one phrase per gap; empty when a run may start (clause CC-0)."""
    needed = rules()["dataset"]
    gaps = []
    for split, minimum in (
        (Split.TRAIN, needed["min_train_clusters"]),
        (Split.CALIBRATION, needed["min_calibration_clusters"]),
    ):
        for answer in CLASSES:
            count = clusters[split, answer]
            if count < minimum:
                gaps.append(
                    f"{answer} in the {split.label} split: {count} patients or groups of photos, {minimum} needed"
                )
    return gaps


def _sources(labels: Iterable[LabelRow], always_read: list[str]) -> list[tuple[str, str]]:
    """For calibration and test: how many photos of which patients, and what is still missing for the stream alone."""
    enough = rules()["always_read"]["min_clusters"]
    sources = []
    for split in (Split.CALIBRATION, Split.TEST):
        rows = [row for row in labels if row.split == split]
        drawn = [row for row in rows if row.always_read]
        if split in always_read:
            words = f"{len(rows)} photos, all of patients that are always read: they count as they are, unweighted"
        else:
            patients = _clusters(drawn)
            found = " and ".join(f"{patients[split, answer]} {answer}" for answer in CLASSES)
            words = (
                f"{len(rows)} photos, {len(drawn)} of them of patients that are always read ({found} patients; from "
                f"{enough} of each on, these alone count)"
            )
        sources.append((str(split.label), words))
    return sources


def _readers(always_read: list[str]) -> list[tuple[str, int]]:
    """The readers on whose readings most labels of the dataset rest, and how many."""
    read = _chosen(always_read).filter(readings__isnull=False).order_by().values_list("readings__reader__username")
    return list(read.annotate(number=Count("pk")).order_by("-number", "readings__reader__username")[:MOST_NAMED])


def _excluded(chosen: list[LabelRow]) -> list[tuple[str, int]]:
    """Standing labels that a dataset leaves out, counted by the first reason that applies."""
    reasons: Counter[str] = Counter()
    usable = usable_labels().count()
    if usable > len(chosen):
        reasons["their split takes only patients that are always read"] = usable - len(chosen)
    best = set(Label.objects.best().values_list("pk", flat=True))
    for label in Label.objects.standing().exclude(pk__in=usable_labels().values("pk")).select_related("image__cluster"):
        reasons[why_left_out(label, is_best=label.pk in best)] += 1
    return reasons.most_common()


def why_left_out(label: Label, *, is_best: bool) -> str:
    """Why a dataset leaves out a standing label that is not usable. is_best: whether it counts most for its photo."""
    if not is_best:
        return "a later outcome counts instead"
    if label.image.withdrawn_at is not None:
        return "the photo was withdrawn"
    if not label.image.may_train:
        return "no consent to train with the photo"
    if label.provenance == Label.Provenance.AFTER_AI:
        return "answered after the AI was shown"
    if not label.may_train:
        return "the label is marked as not for training"
    if label.answer not in CLASSES:
        return f"the answer is {label.get_answer_display().lower()}"
    if label.image.split == label.image.cluster.split and label.image.compared_at is None:
        return "its copies have not been looked for yet: a worker does it"
    return "its group of photos merged with one of another split"


def _table(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = defaultdict(dict)
    for split in (Split.TRAIN, Split.CALIBRATION, Split.TEST):
        for answer in CLASSES:
            table[split.value][answer] = counts[split.value, answer]
    return dict(table)


def _ranked(values: Iterable[Any]) -> list[tuple[str, int]]:
    return Counter(str(value) or "not stated" for value in values).most_common(MOST_NAMED)
