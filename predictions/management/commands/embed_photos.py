"""manage.py embed_photos: have the worker embed every stored photo with the encoder of a release."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from predictions.embeddings.models import EmbeddingJob
from predictions.releases.models import Release


class Command(BaseCommand):
    help = (
        "Embed every stored photo with the encoder of a release, for similarity search and drift. The worker does it "
        "(`make run` starts one); a promotion that changes the encoder starts it automatically."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--release", default="", help="release id (default: the champion)")
        parser.add_argument("--wait", action="store_true", help="show progress until it is done")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["release"]
        release = (Release.objects.filter(pk=wanted) if wanted else Release.objects.champions()).first()
        if release is None:
            raise CommandError("No such release. `manage.py releases` lists them.")
        job = EmbeddingJob.objects.ask_for(release=release)
        self.stdout.write(f"{job.total} photos to embed with the encoder of {release.pk}.")
        while options["wait"] and job.status == EmbeddingJob.Status.WAITING:
            self.stderr.write(f"{job.embedded + job.unreadable} of {job.total}")
            time.sleep(2)
            job.refresh_from_db()
        if job.status == EmbeddingJob.Status.DONE:
            self.stdout.write(f"Done: {job.embedded} embedded, {job.unreadable} unreadable.")
