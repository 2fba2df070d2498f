"""`manage.py broker`: run the private broker of the embedded default in the foreground."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cataract.core.broker.server import SET_ASIDE, BrokerUnavailable, ping, server_command, set_aside_unreadable


class Command(BaseCommand):
    help = "Run the private Valkey or Redis server of DATA_DIR in the foreground (`manage.py up` does it for you)."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not settings.EMBEDDED_BROKER:
            raise CommandError("REDIS_URL is set: that server is the broker, and there is none of our own to run.")
        folder = settings.DATA_DIR / "broker"
        try:
            if not _answers() and (aside := set_aside_unreadable(folder)):
                self.stderr.write(SET_ASIDE.format(aside))
            command = server_command(settings.BROKER_SOCKET, folder)
        except BrokerUnavailable as error:
            raise CommandError(str(error)) from None
        os.execv(command[0], command)


def _answers() -> bool:
    """Whether another process serves already."""
    try:
        ping(settings.CELERY_BROKER_URL)
    except BrokerUnavailable:
        return False
    return True
