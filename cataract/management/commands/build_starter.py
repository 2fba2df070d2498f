"""manage.py build_starter: folders of public eye photos -> the release that the repository ships."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from cataract.core.errors import ADD_TRAINING_SET
from cataract.ml.learn.packages import has_torch
from cataract.ml.learn.reporter import SilentReporter
from cataract.ml.release.manifest import ReleaseCorrupt


class _ConsoleReporter(SilentReporter):
    """One line for each new message."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream, self._last = stream, ""

    def progress(self, stage: str, fraction: float, message: str = "") -> None:
        line = f"{stage:<10} {fraction:4.0%}  {message}"
        if line != self._last:
            self._stream.write(line)
        self._last = line

    def metric(self, values: Mapping[str, Any], step: int) -> None:
        if "trial" in values:
            self.progress("fast", 0.0, f"trial {step + 1}: log loss {values['log_loss']:.3f}")


class Command(BaseCommand):
    help = (
        "Train the starter release from scratch on folders that hold normal/ and cataract/ at any depth. The first "
        "folder fits, calibrates and tests the release; the others train the encoder only. Photos of other sources "
        "train all of it, and it is measured on each source by a build without it. A stopped build resumes when it is "
        "started again with the same arguments."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="DIR")
        parser.add_argument(
            "--others", type=Path, metavar="DIR", help="photos of other sources: DIR/<source>/<label>/*.jpg"
        )
        parser.add_argument("--out", type=Path, default=settings.STARTER_DIR, help="default: %(default)s")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--minutes", type=float, default=50, help="for the base encoder, on one free core (default: %(default)s)"
        )
        parser.add_argument(
            "--further-steps", type=int, default=1500, help="of each training on all sources (default: %(default)s)"
        )
        parser.add_argument(
            "--from",
            dest="start",
            type=Path,
            metavar="RELEASE",
            help="an earlier starter release: its encoder is the base, its test photos stay test photos",
        )
        parser.add_argument("--trials", type=int, default=30, help="of the search for the fast model")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = [*options["images"], *filter(None, [options["others"]])]
        missing = [str(folder) for folder in asked if not folder.is_dir()]
        if missing:
            raise CommandError(f"There is no folder {' and no folder '.join(missing)}.")
        if not has_torch():
            raise CommandError(f"torch is not installed. {ADD_TRAINING_SET}.")
        from cataract.ml.learn.starter.starter import StarterConfig, build_starter  # torch: only this command needs it

        try:
            manifest = build_starter(
                options["images"],
                options["others"],
                options["out"],
                StarterConfig(
                    options["seed"], options["minutes"], options["further_steps"], options["trials"], options["start"]
                ),
                _ConsoleReporter(self.stderr),
            )
        except (ValueError, ReleaseCorrupt) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{manifest.id} is in {options['out']}; its card is {options['out'] / 'card.md'}.")
