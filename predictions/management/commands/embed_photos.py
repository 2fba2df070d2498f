"""manage.py embed_photos: every stored photo through the encoder of a release, by the worker, with progress."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from predictions.embeddings.models import EmbeddingJob
from predictions.releases.models import Release


class Command(BaseCommand):
    help = (
        "Bring every stored photo through the encoder of a release, so that similarity search and drift know them all. "
        "The worker does it (`make run` starts one), and does it by itself after a promotion that changes the encoder."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--release", default="", help="its id (default: the champion)")
        parser.add_argument("--wait", action="store_true", help="show the progress until it is done")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = {"pk": options["release"]} if options["release"] else {"status": Release.Status.CHAMPION}
        release = Release.objects.filter(**wanted).first()
        if release is None:
            raise CommandError("There is no such release. `manage.py releases` lists them.")
        job = EmbeddingJob.objects.ask_for(release=release)
        self.stdout.write(f"{job.total} photos are to go through the encoder of {release.pk}.")
        while options["wait"] and job.status == EmbeddingJob.Status.WAITING:
            self.stderr.write(f"{job.embedded + job.unreadable} of {job.total}")
            time.sleep(2)
            job.refresh_from_db()
        if job.status == EmbeddingJob.Status.DONE:
            self.stdout.write(f"Done: {job.embedded} embedded, {job.unreadable} unreadable.")
