"""Freeze the confirmed labels as a fingerprinted Dataset, and preview what a run would train on."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.errors import DomainError
from cataract.ml.labels import CATARACT, CLASSES, NORMAL
from cataract.ml.learn.build.data_warnings import count_warnings
from predictions.photos.models import Split
from review.labels.models import Label
from training.change_control.rules import rules
from training.datasets.models import Dataset, DatasetItem
from training.datasets.selectors import dataset_labels, usable_labels


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


def fingerprint_of(labels: Iterable[Label]) -> str:
    """sha256 over the sorted (image sha256, answer, split, weight, label id): equal for equal labels."""
    rows = sorted(
        (label.image.sha256, label.answer, label.image.split, repr(label.weight), str(label.pk)) for label in labels
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


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
        counts=_table(Counter((label.image.split, label.answer) for label in labels)),
        clusters=_table(clusters),
        sites=_ranked(label.image.site for label in labels),
        devices=_ranked(label.image.device or "" for label in labels),
        readers=_ranked(
            Label.objects.filter(pk__in=[label.pk for label in labels])
            .exclude(readings=None)
            .values_list("readings__reader__username", flat=True)
        ),
        provenances=_ranked(label.get_provenance_display() for label in labels),
        excluded=_excluded(labels),
        new_since_last=sum(label.pk not in known for label in labels),
        fingerprint=fingerprint,
        same_as_last=last is not None and last.fingerprint == fingerprint,
        missing=_missing(clusters),
        warnings=count_warnings(*_fitted(clusters)),
    )


def freeze_dataset(*, user: User | None) -> Dataset:
    """Return the Dataset of the confirmed labels as they are now; equal labels give the same row.

    Raises NotEnoughLabels.
    """
    with transaction.atomic():
        labels, always_read = dataset_labels()
        missing = _missing(_clusters(labels))
        if missing:
            raise NotEnoughLabels("There are not enough confirmed labels to train on: " + "; ".join(missing) + ".")
        dataset, created = Dataset.objects.get_or_create(
            fingerprint=fingerprint_of(labels),
            defaults={
                "counts": _table(Counter((label.image.split, label.answer) for label in labels)),
                "always_read": always_read,
                "created_by": user,
            },
        )
        if created:
            DatasetItem.objects.bulk_create(
                DatasetItem(
                    dataset=dataset,
                    image=label.image,
                    label=label,
                    answer=label.answer,
                    split=label.image.split,
                    cluster=label.image.cluster_id,
                    weight=label.weight,
                )
                for label in labels
            )
    return dataset


def _clusters(labels: Iterable[Label]) -> Counter[tuple[str, str]]:
    return Counter(
        (split, answer) for split, answer, _ in {(x.image.split, x.answer, x.image.cluster_id) for x in labels}
    )


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


def _sources(labels: Iterable[Label], always_read: list[str]) -> list[tuple[str, str]]:
    """For calibration and test: how many photos of which patients, and what is still missing for the stream alone."""
    enough = rules()["always_read"]["min_clusters"]
    sources = []
    for split in (Split.CALIBRATION, Split.TEST):
        rows = [label for label in labels if label.image.split == split]
        drawn = [label for label in rows if label.image.always_read]
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


def _excluded(chosen: list[Label]) -> list[tuple[str, int]]:
    """Standing labels that a dataset leaves out, counted by the first reason that applies."""
    reasons: Counter[str] = Counter()
    usable = usable_labels().count()
    if usable > len(chosen):
        reasons["their split takes only patients that are always read"] = usable - len(chosen)
    best = set(Label.objects.best().values_list("pk", flat=True))
    for label in Label.objects.standing().exclude(pk__in=usable_labels().values("pk")).select_related("image__cluster"):
        reasons[_why_excluded(label) if label.pk in best else "a later outcome counts instead"] += 1
    return reasons.most_common()


def _why_excluded(label: Label) -> str:
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
    return Counter(str(value) or "not stated" for value in values).most_common(12)
