"""manage.py promote: compare a release with the champion and make it the champion."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.releases.models import Promotion, Release
from training.change_control.rules import rules
from training.comparison import worker
from training.comparison.models import Comparison, FlipCause
from training.comparison.promotable import needs_acknowledgement
from training.promotion import services as promotion_services


class Command(BaseCommand):
    help = "Compare a release with the champion and make it the champion, if the change-control plan allows it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release")
        parser.add_argument("--reason", required=True, help="the reason, for the record")
        parser.add_argument(
            "--acknowledge-too-few", action="store_true", help="promote although there are too few photos to judge it"
        )
        parser.add_argument(
            "--cause",
            action="append",
            default=[],
            metavar="PHOTO=CAUSE",
            help=f"why a photo that turns from right to wrong is accepted: {', '.join(FlipCause.Cause.values)}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.filter(pk=options["release"]).first()
        if release is None:
            known = ", ".join(Release.objects.values_list("pk", flat=True)) or "none"
            raise CommandError(f"There is no release {options['release']!r}. Known releases: {known}.")
        try:
            if not _is_compared(release):
                self.stderr.write("Comparing the release with the champion ...")
                worker.compare_with_champion(release.pk)
            promotion = promotion_services.promote(
                user=None,
                release=release,
                reason=options["reason"],
                acknowledge_too_few=options["acknowledge_too_few"],
                causes=dict(cause.partition("=")[::2] for cause in options["cause"]),
            )
        except (DomainError, ReleaseCorrupt) as error:
            wanted = _wanted_options(release, acknowledged=options["acknowledge_too_few"])
            raise CommandError(f"{error}{wanted}") from error
        assert isinstance(promotion, Promotion)  # a request needs a user
        before = f" in place of {promotion.previous_id}" if promotion.previous_id else ""
        self.stdout.write(f"Release {release.pk} serves now{before}.")


def _is_compared(release: Release) -> bool:
    """Whether it was compared with the champion by the plan of today."""
    comparison = Comparison.objects.standing(release)
    return comparison is not None and comparison.report["rules"] == rules()["version"]


def _wanted_options(release: Release, *, acknowledged: bool) -> str:
    """The options that a promotion still needs, each on a line."""
    comparison = Comparison.objects.standing(release)
    options = [] if acknowledged or not needs_acknowledgement(release) else ["--acknowledge-too-few"]
    options += [f"--cause {image}=..." for image in (comparison.flips_without_cause() if comparison else [])]
    return "".join(f"\n  {option}" for option in options)
