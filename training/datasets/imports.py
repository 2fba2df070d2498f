"""Import a folder of photos: labels and splits from folder names, near-duplicates, conflicts and leaks.

`scan` reads the folder, `plan_folder` says what an import of it would do, `import_folder` stores it;
`manage.py evaluate` only scans.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import DomainError
from cataract.ml.labels import CLASSES
from cataract.ml.photos.copies import group_copies, picture_of
from cataract.ml.photos.duplicates import is_near
from predictions.photos import intake, worker
from predictions.photos.clusters import draw_split
from predictions.photos.facts import PhotoFacts
from predictions.photos.lookalikes import find_lookalikes
from predictions.photos.models import EyeImage, Split
from predictions.photos.refusals import BadPhoto, PhotoInTrash
from predictions.photos.services import store_photo
from predictions.releases import serving
from predictions.sites import services as sites
from review.labels.models import Label
from review.labels.services import KEPT

_SPLIT_FOLDERS = {"train": Split.TRAIN, "training": Split.TRAIN, "test": Split.TEST, "testing": Split.TEST}
Progress = Callable[[int, int, str], None]  # done, total, what


class NothingToImport(DomainError):
    code, status = "nothing_to_import", 422


@dataclass
class ScannedFile:
    """One file. label, split: from the folders above it, "" when none names one; cluster: counts from 0."""

    path: Path
    name: str
    label: str
    split: str
    sha256: str = ""
    cluster: int = -1
    refused: str = ""
    hashes: list[str] = field(default_factory=list)


@dataclass
class ImportReport:
    """What an import did, or would do.

    lines: one per file, for people; told: the photos whose labels they tell; elsewhere: files that are not in the split
    that their folder names, by (that split, the split that they are in, why), with the number of files.
    """

    lines: list[str] = field(default_factory=list)
    stored: int = 0
    known: int = 0
    refused: int = 0
    labelled: int = 0
    excluded: int = 0
    of_split: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    near_duplicates: list[list[str]] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def scan(root: Path, *, on_progress: Progress | None = None) -> list[ScannedFile]:
    """Every file below `root` in a fixed order, readable or not; copies (turned, mirrored, cropped) share a cluster.

    Raises NothingToImport when `root` is not a folder or holds no file.
    """
    if not root.is_dir():
        raise NothingToImport(f"{root} is not a folder.")
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not _hidden(path.relative_to(root)))
    if not paths:
        raise NothingToImport(f"There is no file in {root}.")
    files, hashes, pictures = [], [], []
    for number, path in enumerate(paths, start=1):
        file = ScannedFile(path, str(path.relative_to(root)), *_from_folders(path.relative_to(root)))
        try:
            photo = intake.examine(path.read_bytes(), name=path.name)
            file.hashes = list(photo.hashes)
            hashes.append(photo.hashes)
            pictures.append(picture_of(photo.pixels))
            file.sha256 = photo.sha256
        except (DomainError, OSError) as error:
            file.refused = str(error)
        files.append(file)
        if on_progress:
            on_progress(number, len(paths), "reading")
    readable = [file for file in files if not file.refused]
    for file, cluster in zip(readable, group_copies(hashes, pictures), strict=True):
        file.cluster = cluster
    return files


def clusters_of(files: Iterable[ScannedFile]) -> list[list[ScannedFile]]:
    """The readable files by cluster, in the order of the files."""
    clusters: dict[int, list[ScannedFile]] = defaultdict(list)
    for file in files:
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
    on_progress: Progress | None = None,
) -> ImportReport:
    """Store every photo below `root` once, with the label and split that its folders name; repeating adds nothing.

    A cluster with both labels gets none. With `split_from_folders` a cluster found in both given splits is a
    test cluster, and its photos of the training folder are left out of every dataset. Raises NothingToImport.
    """
    files = scan(root, on_progress=on_progress)
    site = sites.ensure_site(name=site).name
    report, forced = _begin(root, files, labelled, split_from_folders)
    in_conflict = {name for names in report.conflicts for name in names}
    for number, file in enumerate(_in_order(files), start=1):
        label = file.label if labelled and file.name not in in_conflict else ""
        report.lines.append(f"{file.name}: {_import_one(file, forced.get(file.name), label, site, user, report)}")
        if on_progress:
            on_progress(number, len(files), "storing")
    return report


def plan_folder(
    root: Path, *, labelled: bool = False, split_from_folders: bool = False, on_progress: Progress | None = None
) -> ImportReport:
    """What `import_folder` would do with `root`; nothing is stored. Raises NothingToImport.

    Copies that only a comparison of pictures finds, cropped or turned ones, are known within the folder alone: those of
    photos that are stored already are found by their perceptual hash.
    """
    files = scan(root, on_progress=on_progress)
    report, forced = _begin(root, files, labelled, split_from_folders)
    in_conflict = {name for names in report.conflicts for name in names}
    place = _Places(serving.seen_hashes())
    for number, file in enumerate(_in_order(files), start=1):
        label = file.label if labelled and file.name not in in_conflict else ""
        report.lines.append(f"{file.name}: {_plan_one(file, forced.get(file.name), label, place, report)}")
        if on_progress:
            on_progress(number, len(files), "looking for copies")
    return report


@dataclass
class _Places:
    """Where photos of the folder would be: the split of each content and of each cluster that was planned already."""

    seen: Sequence[str]
    of_content: dict[str, str] = field(default_factory=dict)
    of_cluster: dict[int, str] = field(default_factory=dict)

    def put(self, file: ScannedFile, forced_split: str, twin: EyeImage | None) -> tuple[str, str]:
        """(the split that a new photo would get, why it is not the forced one), as storing it would decide."""
        before = twin.split if twin is not None else self.of_cluster.get(file.cluster)
        wanted, why = forced_split, "a copy that was stored before is there"
        if is_near(file.hashes, self.seen):
            wanted, why = Split.TRAIN.value, "the champion was trained on it or on a copy"
        got = wanted if before is None else before
        if wanted == Split.TRAIN and got != Split.TRAIN:
            got, why = Split.EXCLUDED.value, "copies of it are in two splits, so it is in no dataset"
        self.of_cluster.setdefault(file.cluster, got)
        return got, why


def _in_order(files: Sequence[ScannedFile]) -> list[ScannedFile]:
    """Test folders first: the first photo of a cluster decides its split."""
    return sorted(files, key=lambda file: file.split != Split.TEST)


def _begin(
    root: Path, files: Sequence[ScannedFile], labelled: bool, split_from_folders: bool
) -> tuple[ImportReport, dict[str, str]]:
    """A report of what the files say of each other, and the split of each file that its folder decides."""
    if labelled and not any(file.label for file in files):
        raise NothingToImport(f"No folder in {root.name} is named {' or '.join(CLASSES)}: there is no label to read.")
    clusters = clusters_of(files)
    report = ImportReport(
        near_duplicates=_names(cluster for cluster in clusters if len({file.sha256 for file in cluster}) > 1),
        conflicts=_names(cluster for cluster in clusters if len({file.label for file in cluster} - {""}) > 1),
        leaks=_names(cluster for cluster in clusters if {Split.TRAIN, Split.TEST} <= {file.split for file in cluster}),
    )
    return report, _forced_splits(clusters) if split_from_folders else {}


def _plan_one(file: ScannedFile, forced_split: str | None, label: str, places: _Places, report: ImportReport) -> str:
    """Count what would become of one file; return it in words."""
    if file.refused:
        report.refused += 1
        return f"refused: {file.refused}"
    alike = find_lookalikes(sha256=file.sha256, hashes=file.hashes)
    known, twin = alike.same, next(iter(alike.twins), None)
    if known is not None and known.status != EyeImage.Status.KEPT:
        report.refused += 1
        return f"refused: {PhotoInTrash(known.removed_at)}"
    is_repeated = file.sha256 in places.of_content
    is_new = known is None and not is_repeated
    report.known += not is_new
    report.stored += is_new
    words = ["would be stored" if is_new else "already stored" if known else "the same file again"]
    if is_new and twin is not None:
        words.append(f"near-duplicate of {twin.original_name}")
    words += _plan_split(file, forced_split, known, twin, places, report)
    if label and not is_repeated:
        words.append(_plan_label(file, label, known, twin, report))
    return ", ".join(words)


def _plan_split(
    file: ScannedFile,
    forced_split: str | None,
    known: EyeImage | None,
    twin: EyeImage | None,
    places: _Places,
    report: ImportReport,
) -> list[str]:
    """Count the split that a file would be in, where that is not the one of its folder; return why, in words."""
    if known is not None or file.sha256 in places.of_content:
        got = known.split if known is not None else places.of_content[file.sha256]
        why = "it was stored before"
        is_new = False
    else:
        got, why = places.put(file, forced_split or draw_split(file.sha256), twin)
        is_new = True
    places.of_content.setdefault(file.sha256, got)
    report.excluded += is_new and got == Split.EXCLUDED
    if not forced_split:
        return []
    report.of_split[forced_split] += 1
    if got == forced_split:
        return []
    if got == Split.EXCLUDED:
        why = "copies of it are in two splits, so it is in no dataset"
    report.elsewhere[forced_split, got, why] += 1
    return [f"not {Split(forced_split).label}: {why}"]


def _plan_label(
    file: ScannedFile, label: str, known: EyeImage | None, twin: EyeImage | None, report: ImportReport
) -> str:
    """Count the label that a file would get; return it in words."""
    about = known or twin
    report.told += [str(about.pk)] if about else []
    standing = Label.objects.standing().filter(image=about).first() if about else None
    if standing is not None and standing.answer != label:
        if known is None and twin is not None:
            report.conflicts.append([file.name, twin.original_name])
        return f"NOT labelled {label}: the label on record is {standing.answer}"
    if standing is not None and known is not None:
        return f"already labelled {label}"
    report.labelled += 1
    return f"labelled {label}"


def _record(image: EyeImage, is_new: bool) -> None:
    if is_new:
        record(Act.PHOTO_SENT, about=image, user=image.uploaded_by, columns=("sha256", "stored_sha256"))


def _import_one(
    file: ScannedFile, forced_split: str | None, label: str, site: str, user: User | None, report: ImportReport
) -> str:
    """Store one file and count it; return what happened, in words."""
    if file.refused:
        report.refused += 1
        return f"refused: {file.refused}"
    try:
        photo = intake.examine(file.path.read_bytes(), name=file.path.name)
    except BadPhoto as error:
        report.refused += 1
        return f"refused: {error}"
    facts = PhotoFacts(site=site, may_train=True)
    try:
        image, new = store_photo(
            photo, facts, user=user, source=EyeImage.Source.IMPORT, forced_split=forced_split, also=_record
        )
    except PhotoInTrash as error:
        report.refused += 1
        return f"refused: {error}"
    if new:
        worker.compare(image, is_new=True)
        image.refresh_from_db()
    words = [f"stored ({image.get_split_display()})" if new else f"already stored ({image.get_split_display()})"]
    if forced_split:
        report.of_split[forced_split] += 1
        if image.split != forced_split:
            why = _why_elsewhere(image, photo.hashes, new)
            report.elsewhere[forced_split, image.split, why] += 1
            words.append(f"not {Split(forced_split).label}: {why}")
    report.stored += new
    report.known += not new
    report.excluded += new and image.split == Split.EXCLUDED
    if new and image.near_duplicate_of is not None:
        words.append(f"near-duplicate of {image.near_duplicate_of.original_name}")
    if label:
        words.append(_label(image, label, report))
    return ", ".join(words)


def _why_elsewhere(image: EyeImage, hashes: Sequence[str], is_new: bool) -> str:
    """Why a photo is not in the split that its folder names."""
    if image.split == Split.EXCLUDED:
        return "copies of it are in two splits, so it is in no dataset"
    if not is_new:
        return "it was stored before"
    if is_near(hashes, serving.seen_hashes()):
        return "the champion was trained on it or on a copy"
    return "a copy that was stored before it is there"


def _label(image: EyeImage, answer: str, report: ImportReport) -> str:
    """Give the image its imported label, unless it or its near-duplicate has another standing label."""
    report.told.append(str(image.pk))
    with transaction.atomic():
        standing = Label.objects.standing().filter(image=image).first()
        if standing is not None:
            if standing.answer == answer:
                return f"already labelled {answer}"
            return f"NOT labelled {answer}: the label on record is {standing.answer}"
        twin = image.near_duplicate_of
        other = Label.objects.standing().filter(image=twin).exclude(answer=answer).first() if twin else None
        if other is not None:
            report.conflicts.append([image.original_name, other.image.original_name])
            report.told.append(str(other.image_id))
            return f"NOT labelled {answer}: its near-duplicate is labelled {other.answer}"
        label = Label.objects.create(image=image, answer=answer, provenance=Label.Provenance.IMPORTED, may_train=True)
        record(Act.LABELLED, about=label, columns=KEPT, how="imported")
    report.labelled += 1
    return f"labelled {answer}"


def _forced_splits(clusters: Sequence[list[ScannedFile]]) -> dict[str, str]:
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


def _names(clusters: Iterator[list[ScannedFile]]) -> list[list[str]]:
    return [[file.name for file in cluster] for cluster in clusters]
