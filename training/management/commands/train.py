"""manage.py train: start a training run, and with --wait follow it to its end."""

import math
import time
from argparse import ArgumentParser, ArgumentTypeError
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from predictions.photos import worker as photos
from predictions.releases.models import Release
from training.comparison.models import Comparison
from training.datasets.services import preview
from training.management.progress import counter
from training.runs import services as runs_services
from training.runs.models import TrainingRun
from training.runs.parameters import CHOICES, DISTIL_LABEL, SEARCH_LABEL, SEARCHES, Choice, parameters_of


def _within(choice: Choice, text: str) -> float:
    """Parse a number and check its limits. Raises ArgumentTypeError."""
    try:
        value = choice.type(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a {'whole ' if choice.type is int else ''}number") from None
    if not choice.low <= value <= choice.high:
        raise ArgumentTypeError(f"{text} is not within {choice.low:g} to {choice.high:g}")
    return value


class Command(BaseCommand):
    help = "Train a challenger from the confirmed labels. The work is done by the worker (`make run` starts one)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--model", choices=TrainingRun.Kind.values, default="both", help="what to train (default: both)"
        )
        parser.add_argument(
            "--base",
            default="",
            metavar="RELEASE",
            help="the release whose encoder to start from (default: the champion)",
        )
        parser.add_argument("--reason", default="", help="the reason, for the record")
        for name, choice in CHOICES.items():
            flag, meaning = f"--{name.replace('_', '-')}", choice.label.lower()
            usual = "as the base release" if choice.default is None else f"{choice.default:g}"
            limits = f"{choice.low:g} to {choice.high:g}, {usual} by default"
            parser.add_argument(flag, type=partial(_within, choice), metavar="N", help=f"{meaning} ({limits})")
        parser.add_argument("--search", choices=[name for name, _ in SEARCHES], help=SEARCH_LABEL.lower())
        parser.add_argument("--distil", action="store_true", help=DISTIL_LABEL.lower())
        parser.add_argument("--wait", action="store_true", help="show the progress until the run is over")

    def handle(self, *args: Any, **options: Any) -> None:
        base = Release.objects.filter(pk=options["base"]).first()
        if options["base"] and base is None:
            raise CommandError(f"There is no release {options['base']}. `manage.py releases` lists them.")
        photos.sweep(seconds=math.inf, on_progress=counter(self.stderr))
        try:
            run = runs_services.start_training(
                user=None,
                kind=options["model"],
                reason=options["reason"],
                base=base,
                parameters=parameters_of(options),
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        for warning in preview().warnings:
            self.stdout.write(warning)
        self.stdout.write(f"Training run {run.pk} is queued, on dataset {run.dataset_id[:12]}.")
        if options["wait"]:
            self._wait(run)

    def _wait(self, run: TrainingRun) -> None:
        shown = ""
        while run.status in TrainingRun.ACTIVE:
            state = f"{run.status}: {run.stage or 'waiting for a worker'}, {run.percent} %"
            if state != shown:
                self.stderr.write(state)
                shown = state
            time.sleep(1)
            run.refresh_from_db()
        if run.status != TrainingRun.Status.SUCCEEDED:
            raise CommandError(f"The run is {run.status}. {run.error}".strip())
        comparison = Comparison.objects.standing(run.release) if run.release else None
        for warning in (run.release.manifest if run.release else {}).get("data", {}).get("warnings", []):
            self.stdout.write(warning)
        if run.release is not None and run.release.status == Release.Status.REJECTED:
            raise CommandError(f"Release {run.release_id} is registered as rejected. {run.release.rejection}")
        self.stdout.write(f"Release {run.release_id} is registered as a challenger.")
        if comparison is not None:
            self.stdout.write(f"Against the champion {comparison.champion_id}: {comparison.get_verdict_display()}.")
