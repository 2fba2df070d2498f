"""A folder of photos, read before anything is stored: labels and splits from the folders' names, copies, conflicts.

`scan` reads, `import_folder` stores; `manage.py evaluate` uses the first alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.errors import DomainError
from cataract.ml.labels import CLASSES
from cataract.ml.photos.duplicates import group
from cataract.ml.photos.images import PhotoRefused
from predictions.photos import intake, services
from predictions.photos.clusters import draw_split
from predictions.photos.models import EyeImage, Split
from review.labels.models import Label

_SPLIT_FOLDERS = {"train": Split.TRAIN, "training": Split.TRAIN, "test": Split.TEST, "testing": Split.TEST}
Tell = Callable[[int, int, str], None]


class NothingToImport(DomainError):
    code, status = "nothing_to_import", 422


@dataclass
class Found:
    """One file. `label` and `split` come from the folders above it, "" when none says; `cluster` counts from 0."""

    path: Path
    name: str
    label: str
    split: str
    sha256: str = ""
    cluster: int = -1
    refused: str = ""


@dataclass
class Outcome:
    """What an import did. `lines`: one a file, for people."""

    lines: list[str] = field(default_factory=list)
    stored: int = 0
    known: int = 0
    refused: int = 0
    labelled: int = 0
    excluded: int = 0
    near_duplicates: list[list[str]] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)


def scan(root: Path, *, tell: Tell | None = None) -> list[Found]:
    """Every file below `root` in a fixed order, readable or not; near-duplicates (turned, mirrored) share a cluster.

    Raises NothingToImport when `root` is no folder or holds no file.
    """
    if not root.is_dir():
        raise NothingToImport(f"{root} is not a folder.")
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not _hidden(path.relative_to(root)))
    if not paths:
        raise NothingToImport(f"There is no file in {root}.")
    found, hashes = [], []
    for number, path in enumerate(paths, start=1):
        file = Found(path, str(path.relative_to(root)), *_from_folders(path.relative_to(root)))
        try:
            photo = intake.examine(path.read_bytes(), name=path.name)
            hashes.append(photo.hashes)
            file.sha256 = photo.sha256
        except (PhotoRefused, DomainError, OSError) as error:
            file.refused = str(error)
        found.append(file)
        if tell:
            tell(number, len(paths), "reading")
    readable = [file for file in found if not file.refused]
    for file, cluster in zip(readable, group(hashes), strict=True):
        file.cluster = cluster
    return found


def clusters_of(found: Iterable[Found]) -> list[list[Found]]:
    """The readable files by cluster, in the order of the files."""
    clusters: dict[int, list[Found]] = defaultdict(list)
    for file in found:
        if not file.refused:
            clusters[file.cluster].append(file)
    return list(clusters.values())


def import_folder(
    root: Path,
    *,
    labelled: bool = False,
    split_from_folders: bool = False,
    site: str = "",
    user: User | None = None,
    tell: Tell | None = None,
) -> Outcome:
    """Store every photo below `root` once, with what its folders say of it; repeat it and nothing is added.

    A cluster that carries both labels gets none. With `split_from_folders` a cluster found in both given splits is a
    test cluster, and its photos of the training folder are left out of every dataset. Raises NothingToImport.
    """
    found = scan(root, tell=tell)
    if labelled and not any(file.label for file in found):
        raise NothingToImport(f"No folder below {root} is named {' or '.join(CLASSES)}: there is no label to read.")
    clusters = clusters_of(found)
    outcome = Outcome(
        near_duplicates=_names(cluster for cluster in clusters if len({file.sha256 for file in cluster}) > 1),
        conflicts=_names(cluster for cluster in clusters if len({file.label for file in cluster} - {""}) > 1),
        leaks=_names(cluster for cluster in clusters if {Split.TRAIN, Split.TEST} <= {file.split for file in cluster}),
    )
    in_conflict = {name for names in outcome.conflicts for name in names}
    forced = _forced_splits(clusters) if split_from_folders else {}
    # Test folders first: the photo that founds a cluster decides its split.
    for number, file in enumerate(sorted(found, key=lambda f: f.split != Split.TEST), start=1):
        label = file.label if labelled and file.name not in in_conflict else ""
        outcome.lines.append(f"{file.name}: {_import_one(file, forced.get(file.name), label, site, user, outcome)}")
        if tell:
            tell(number, len(found), "storing")
    return outcome


def _import_one(
    file: Found, forced_split: str | None, label: str, site: str, user: User | None, outcome: Outcome
) -> str:
    """Store one file and count it; return what happened, in words."""
    if file.refused:
        outcome.refused += 1
        return f"refused: {file.refused}"
    try:
        image, new = services.import_photo(
            data=file.path.read_bytes(), user=user, name=file.path.name, site=site, forced_split=forced_split
        )
    except PhotoRefused as error:
        outcome.refused += 1
        return f"refused: {error}"
    words = [f"stored ({image.get_split_display()})" if new else "already stored"]
    outcome.stored += new
    outcome.known += not new
    outcome.excluded += new and image.split == Split.EXCLUDED
    if new and image.near_duplicate_of is not None:
        words.append(f"near-duplicate of {image.near_duplicate_of.original_name}")
    if label:
        words.append(_label(image, label, outcome))
    return ", ".join(words)


def _label(image: EyeImage, answer: str, outcome: Outcome) -> str:
    """Give the image its imported label, unless a label stands on it or on its near-duplicate that says otherwise."""
    with transaction.atomic():
        standing = Label.objects.standing().filter(image=image).first()
        if standing is not None:
            if standing.answer == answer:
                return f"labelled {answer} before"
            return f"NOT labelled {answer}: the label on record is {standing.answer}"
        twin = image.near_duplicate_of
        other = Label.objects.standing().filter(image=twin).exclude(answer=answer).first() if twin else None
        if other is not None:
            outcome.conflicts.append([image.original_name, other.image.original_name])
            return f"NOT labelled {answer}: its near-duplicate is labelled {other.answer}"
        Label.objects.create(image=image, answer=answer, provenance=Label.Provenance.IMPORTED, may_train=True)
    outcome.labelled += 1
    return f"labelled {answer}"


def _forced_splits(clusters: Sequence[list[Found]]) -> dict[str, str]:
    """File name -> split. A training cluster gives calibration its share, drawn once from its smallest sha256."""
    forced: dict[str, str] = {}
    for cluster in clusters:
        leaks = any(file.split == Split.TEST for file in cluster)
        drawn = draw_split(min(file.sha256 for file in cluster))
        for file in cluster:
            if file.split == Split.TRAIN:
                forced[file.name] = Split.CALIBRATION if drawn == Split.CALIBRATION and not leaks else Split.TRAIN
            elif file.split:
                forced[file.name] = file.split
    return forced


def _from_folders(relative: Path) -> tuple[str, str]:
    """(label, split) by the nearest folder that names one."""
    folders = [part.lower() for part in reversed(relative.parts[:-1])]
    label = next((name for name in folders if name in CLASSES), "")
    return label, next((_SPLIT_FOLDERS[name].value for name in folders if name in _SPLIT_FOLDERS), "")


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _names(clusters: Iterator[list[Found]]) -> list[list[str]]:
    return [[file.name for file in cluster] for cluster in clusters]
