"""`manage.py serve`: replicas of Ray Serve for INFERENCE=ray."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from cataract.core.checks import SETTINGS
from predictions.releases.models import Release


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Run the replicas of Ray Serve that answer photos with INFERENCE=ray, until Ctrl-C. Without RAY_ADDRESS it "
        "starts Ray on this host; needs the requirements of requirements/ray.txt."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            from predictions.replicas import deployment
        except ImportError as error:
            raise CommandError(f"Ray is not installed ({error}). Install requirements/ray.txt.") from None
        deployment.keep_serving(_Wanted(), self.stdout.write)


class _Wanted:
    """The releases that answer now: champion, and challenger of an A/B test. While the database is away, the last."""

    def __init__(self) -> None:
        self._last: tuple[tuple[str, str], ...] = ()

    def __call__(self) -> tuple[tuple[str, str], ...]:
        try:
            close_old_connections()
            rows = Release.objects.that_answer().order_by("pk").values_list("pk", "manifest_sha256")
            self._last = tuple(dict.fromkeys(rows))
        except DatabaseError:
            close_old_connections()
        return self._last
