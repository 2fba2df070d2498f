"""manage.py promote: compare a release with the champion and make it the champion."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.releases.models import Promotion, Release
from training.comparison import worker
from training.comparison.models import Comparison, FlipCause
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
            if Comparison.objects.standing(release) is None:
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
            raise CommandError(f"{error}{_open_flips(release)}") from error
        assert isinstance(promotion, Promotion)  # a request needs a user
        before = f" in place of {promotion.previous_id}" if promotion.previous_id else ""
        self.stdout.write(f"Release {release.pk} serves now{before}.")


def _open_flips(release: Release) -> str:
    """The photos that still need a cause, each as the option that states it."""
    comparison = Comparison.objects.standing(release)
    left = comparison.flips_without_cause() if comparison else []
    return "".join(f"\n  --cause {image}=..." for image in left)
