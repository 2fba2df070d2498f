"""manage.py import_images: a folder of photos, with or without labels and splits in its folders' names."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from training.datasets.imports import Outcome, import_folder
from training.management.progress import counter


class Command(BaseCommand):
    help = (
        "Store every photo of a folder such as train/normal/..., test/cataract/...: one line a file, then a report "
        "of near-duplicates, label conflicts and leaks between the given splits. A second import adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--labelled", action="store_true", help="folders named normal and cataract are labels")
        parser.add_argument("--split-from-folders", action="store_true", help="folders named train and test are splits")
        parser.add_argument("--site", default="", help="where the photos were taken")
        parser.add_argument("--quiet", action="store_true", help="only the report, no line a file")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcome = import_folder(
                options["folder"],
                labelled=options["labelled"],
                split_from_folders=options["split_from_folders"],
                site=options["site"],
                tell=counter(self.stderr),
            )
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        if not options["quiet"]:
            self.stdout.write("\n".join(outcome.lines))
        self.stdout.write("\n".join(report(outcome)))
        if outcome.refused == len(outcome.lines):
            raise CommandError("Not one file could be stored. The lines above say why.")


def report(outcome: Outcome) -> list[str]:
    """The report in plain words: the counts, then each group of files that a person should look at."""
    lines = [
        "",
        f"{outcome.stored} stored, {outcome.known} already stored, {outcome.refused} refused, "
        f"{outcome.labelled} labelled, {outcome.excluded} left out of every dataset.",
    ]
    for groups, sentence in (
        (outcome.near_duplicates, "groups of near-duplicates (each is one cluster)"),
        (outcome.leaks, "leaks: the same picture in the training and the test folder"),
        (outcome.conflicts, "label conflicts: the same picture with both labels (none of them is labelled)"),
    ):
        lines.append(f"{len(groups)} {sentence}.")
        lines += [f"  {' = '.join(names)}" for names in groups]
    return lines
