"""manage.py change_encoder: make a base release to train from, of a published or local pretrained image tower."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from cataract.ml.encoding.encoder import VIEWS
from training.runs.base_releases import make_base


class Command(BaseCommand):
    help = (
        "Make a base release of an image tower of open_clip or timm with pretrained weights. It does not serve; "
        "`manage.py train --base RELEASE` trains both models on it. ViT-B-32 with laion2b_s34b_b79k is one download "
        "of about 600 MB."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--arch", default="ViT-B-32", help="an architecture of open_clip, or timm/NAME of timm (%(default)s)"
        )
        weights = parser.add_mutually_exclusive_group(required=True)
        weights.add_argument("--pretrained", metavar="TAG", default="", help="weights that open_clip or timm publishes")
        weights.add_argument(
            "--checkpoint",
            metavar="FILE",
            type=Path,
            help="a safetensors file as published, with its configuration beside it",
        )
        parser.add_argument(
            "--pretrained-cfg",
            metavar="TAG",
            default="",
            help="with --checkpoint: published weights whose normalisation, resizing and activation these share",
        )
        parser.add_argument(
            "--image-size", metavar="PX", type=int, default=0, help="side of the input, for timm transformers"
        )
        parser.add_argument(
            "--views", nargs="+", choices=VIEWS, default=["full"], help="crops it looks at; each costs a pass (full)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            release = make_base(
                arch=options["arch"],
                tag=options["pretrained"],
                checkpoint=options["checkpoint"],
                like=options["pretrained_cfg"],
                image_size=options["image_size"],
                views=options["views"],
                say=self.stderr.write,
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Base release {release.pk} is registered. It does not serve. Next:")
        self.stdout.write(f"  manage.py train --base {release.pk} --wait")
