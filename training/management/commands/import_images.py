"""manage.py import_images: store a folder of photos, with the labels and splits that its subfolders name."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from predictions.photos.models import Split
from training.datasets.imports import ImportReport, import_folder
from training.management.progress import counter


class Command(BaseCommand):
    help = (
        "Store every photo of a folder such as train/normal/..., test/cataract/...: one line per file, then a report "
        "of near-duplicates, label conflicts and leaks between the given splits. A second import adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--labelled", action="store_true", help="folders named normal and cataract are labels")
        parser.add_argument("--split-from-folders", action="store_true", help="folders named train and test are splits")
        parser.add_argument("--site", default="", help="where the photos were taken")
        parser.add_argument("--quiet", action="store_true", help="print only the report")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = import_folder(
                options["folder"],
                labelled=options["labelled"],
                split_from_folders=options["split_from_folders"],
                site=options["site"],
                on_progress=counter(self.stderr),
            )
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        if not options["quiet"]:
            self.stdout.write("\n".join(result.lines))
        self.stdout.write("\n".join(report(result)))
        if result.refused == len(result.lines):
            raise CommandError("No file could be stored. The lines above say why.")


def report(result: ImportReport) -> list[str]:
    """The report as lines: all counts first, then each group of files that a person should look at."""
    lists = (
        (result.near_duplicates, "groups of near-duplicates (each is one cluster)"),
        (result.leaks, "leaks: the same picture in the training and the test folder"),
        (result.conflicts, "label conflicts: the same picture with both labels (none of them is labelled)"),
    )
    lines = [
        "",
        f"{result.stored} stored, {result.known} already stored, {result.refused} refused, "
        f"{result.labelled} labelled, {result.excluded} left out of every dataset.",
        *_elsewhere(result),
        *(f"{len(groups)} {sentence}." for groups, sentence in lists),
    ]
    for groups, sentence in lists:
        if groups:
            lines += ["", f"{sentence.capitalize()}:", *(f"  {' = '.join(names)}" for names in groups)]
    return lines


def _elsewhere(result: ImportReport) -> list[str]:
    """How many files are not in the split that their folder names, and why."""
    return [
        f"{count} of {result.of_split[wanted]} {Split(wanted).label} files are in {Split(got).label} instead: {why}."
        for (wanted, got, why), count in result.elsewhere.most_common()
    ]
