"""manage.py evaluate: measure a release on a labelled folder. Stores nothing."""

import hashlib
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.learn.by_source import Judged, by_source
from cataract.ml.photos.duplicates import dihedral_hashes, is_near
from cataract.ml.release.manifest import ReleaseCorrupt
from cataract.ml.release.seen import read_seen
from cataract.ml.statistics import metrics
from predictions.photos import intake
from predictions.releases import serving, store
from predictions.releases.models import Release
from training.comparison.measure_rows import TITLES
from training.datasets.imports import Progress, ScannedFile, clusters_of, scan
from training.datasets.sources import scan_sources
from training.management.progress import counter
from training.management.source_table import source_table
from training.tracking.measurement import MLFLOW_OPTION, NotRecorded, record


class Command(BaseCommand):
    help = (
        "Measure a release on a folder with subfolders named normal and cataract, one photo per group of "
        "near-duplicates: metrics with intervals, confusion matrix, the photos decided without a person and the errors "
        "among them. With --by-source: each source of a folder <source>/<label>/photo by itself, also other conditions "
        "and photos that show no eye. Stores nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--release", default="", help="id of a registered release (default: the champion)")
        parser.add_argument("--by-source", action="store_true", help="measure each source of <source>/<label>/photo")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
        parser.add_argument("--mlflow", action="store_true", help=MLFLOW_OPTION)

    def handle(self, *args: Any, **options: Any) -> None:
        release, cascade = _cascade(options["release"])
        measured, words = (_by_source, source_table) if options["by_source"] else (_as_a_whole, table)
        judge = _Judge(cascade, read_seen(store.folder_of(release)), counter(self.stderr))
        try:
            result = measured(options["folder"], judge)
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        result |= {"release": release.pk, "folder": str(options["folder"]), "fitted_on": judge.fitted_on}
        text = json.dumps(result, indent=1) if options["json"] else "\n".join([*words(result), *left_out(result)])
        self.stdout.write(text)
        if options["mlflow"]:
            self.stderr.write(f"Recorded: {_record(result)}")


def _record(result: dict[str, Any]) -> str:
    """Record the result in MLflow; return the URL of its run. Raises CommandError."""
    figures = {name: value for name, value in result.items() if name != "metrics"} | result.get("metrics", {})
    folder = Path(result["folder"]).name
    try:
        return record(
            "evaluate",
            name=f"{result['release']} on {folder}",
            figures={"evaluation": figures},
            params={"folder": folder, "release": result["release"], "mode": settings.CASCADE_MODE},
            result=result,
            release=result["release"],
            data={"name": folder, "digest": result["fingerprint"]},
        )
    except NotRecorded as error:
        raise CommandError(str(error)) from error


class _Judge:
    """A release that answers files, and how many of them, or copies of them, it was fitted on."""

    def __init__(self, cascade: Cascade, seen: list[str], show: Progress) -> None:
        self.show, self.fitted_on = show, 0
        self._cascade, self._seen = cascade, seen

    def predict(self, files: list[ScannedFile]) -> list[Outcome]:
        outcomes = []
        for number, file in enumerate(files, start=1):
            pixels = intake.examine(file.path.read_bytes(), name=file.path.name).pixels
            outcomes.append(self._cascade.predict([pixels], mode=settings.CASCADE_MODE)[0])
            self.fitted_on += is_near(dihedral_hashes(pixels), self._seen)
            self.show(number, len(files), "predicting")
        return outcomes


def _as_a_whole(folder: Path, judge: _Judge) -> dict[str, Any]:
    files = scan(folder, on_progress=judge.show)
    chosen, conflicts = choose(files)
    if not chosen:
        raise CommandError(f"No readable photo in {folder} lies in a folder named normal or cataract.")
    return measure(chosen, judge.predict(chosen)) | _facts(files, conflicts)


def _by_source(folder: Path, judge: _Judge) -> dict[str, Any]:
    files, chosen, conflicts = [], [], []
    for source, found in scan_sources(folder, on_progress=judge.show).items():
        one_each, with_two_labels = choose(found)
        files += found
        chosen += [(source, file) for file in one_each]
        conflicts += with_two_labels
    if not chosen:
        raise CommandError(f"There is no readable photo in {folder}.")
    outcomes = judge.predict([file for _, file in chosen])
    judged = [Judged(source, file.label, outcome) for (source, file), outcome in zip(chosen, outcomes, strict=True)]
    return by_source(judged) | _facts(files, conflicts)


def _facts(files: list[ScannedFile], conflicts: list[list[str]]) -> dict[str, Any]:
    return {
        "files": len(files),
        "fingerprint": hashlib.sha256("\n".join(sorted(file.sha256 for file in files)).encode()).hexdigest(),
        "refused": [f"{file.name}: {file.refused}" for file in files if file.refused],
        "label_conflicts": conflicts,
    }


def choose(files: list[ScannedFile]) -> tuple[list[ScannedFile], list[list[str]]]:
    """(The first labelled file of each cluster, the names in each cluster that has both labels and is left out)."""
    chosen, conflicts = [], []
    for cluster in clusters_of(files):
        labelled = [file for file in cluster if file.label]
        if len({file.label for file in labelled}) > 1:
            conflicts.append([file.name for file in labelled])
        elif labelled:
            chosen.append(labelled[0])
    return chosen, conflicts


def measure(chosen: list[ScannedFile], outcomes: list[Outcome]) -> dict[str, Any]:
    """Every measure of docs/measures.md on all photos, and what was decided without a person."""
    y = [file.label == CATARACT for file in chosen]
    p = [np.nan if outcome.probability is None else outcome.probability for outcome in outcomes]
    pairs = [(file.label, outcome) for file, outcome in zip(chosen, outcomes, strict=True)]
    automatic = [(label, outcome) for label, outcome in pairs if not outcome.needs_review]
    wrong = sum(outcome.decision != label for label, outcome in automatic)
    low, high = metrics.wilson(wrong, len(automatic)) if automatic else (0.0, 1.0)
    answers = (CATARACT, NORMAL, Decision.UNGRADABLE.value)
    return {
        "photos": len(chosen),
        "by_class": {label: sum(file.label == label for file in chosen) for label in answers[:2]},
        "confusion": {
            label: {answer: sum(x == label and o.decision == answer for x, o in pairs) for answer in answers}
            for label in answers[:2]
        },
        "auto_decided": {
            "n": len(automatic),
            "share": len(automatic) / len(pairs),
            "wrong": wrong,
            "low": low,
            "high": high,
        },
        "ungradable": sum(outcome.decision == Decision.UNGRADABLE for outcome in outcomes),
        "metrics": metrics.evaluate(y, p, [outcome.decision for outcome in outcomes]),
    }


def table(result: dict[str, Any]) -> list[str]:
    """The result as lines of text."""
    classes = result["by_class"]
    lines = [
        f"Release {result['release']} on {result['folder']}",
        f"{result['photos']} photos, one per group of near-duplicates ({classes['cataract']} cataract, "
        f"{classes['normal']} normal), of {result['files']} files. Each counts once.",
        _fitted_on(result["fitted_on"], result["photos"]),
        "",
        f"{'truth':<12}{'cataract':>12}{'normal':>12}{'ungradable':>12}   (decisions)",
        *(f"{truth:<12}" + "".join(f"{n:>12}" for n in row.values()) for truth, row in result["confusion"].items()),
        "",
    ]
    lines.append(f"{'measure':<34}{'value':>7}   95 % interval     n")
    lines += [_line(title, result["metrics"][name]) for name, title in TITLES.items()]
    auto = result["auto_decided"]
    lines += [
        "",
        "A photo that cannot be judged goes to a person, so it counts as positive. The measures of the probability are "
        "of the others.",
        f"Decided without a person: {auto['n']} of {result['photos']} ({auto['share']:.0%}), {auto['wrong']} of them "
        f"wrong (95 % interval of the error: {auto['low']:.1%} to {auto['high']:.1%}).",
        f"Cannot judge: {result['ungradable']}. Refused files: {len(result['refused'])}.",
    ]
    return lines


def _line(title: str, row: dict[str, Any]) -> str:
    value = "      -" if row["value"] is None else f"{row['value']:>7.3f}   {row['low']:.3f} to {row['high']:.3f}"
    return f"{title:<34}{value:<27}{row['n']:>4}"


def _fitted_on(count: int, photos: int) -> str:
    if count:
        return f"The release was fitted on {count} of the {photos} photos, or on copies: its figures are too good."
    return f"The release was fitted on none of the {photos} photos, nor on a copy that their hashes tell."


def left_out(result: dict[str, Any]) -> list[str]:
    """The files that were not measured, as lines of text."""
    lines = [f"  {line}" for line in result["refused"]]
    if result["label_conflicts"]:
        lines.append(f"Left out, the same picture with two labels: {len(result['label_conflicts'])} groups.")
        lines += [f"  {' = '.join(names)}" for names in result["label_conflicts"]]
    return lines


def _cascade(release_id: str) -> tuple[Release, Cascade]:
    release = (Release.objects.filter(pk=release_id) if release_id else Release.objects.champions()).first()
    if release is None:
        known = ", ".join(Release.objects.values_list("pk", flat=True)) or "none"
        what = f"no release {release_id!r}" if release_id else "no champion"
        raise CommandError(f"There is {what}. Known releases: {known}. `manage.py install_starter` installs one.")
    try:
        return release, serving.load(release)
    except ReleaseCorrupt as error:
        raise CommandError(str(error)) from error
