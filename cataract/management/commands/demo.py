"""`manage.py demo`: a filled system to look at, in a data folder of its own."""

import argparse
import io
import logging
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from cataract.accounts import services as accounts
from cataract.core.broker import nudge
from cataract.management.commands.setup import FIRST_USERS
from cataract.ops.demo import drawing, folder, history
from cataract.ops.statistics import refresh_statistics

# What each reader's answers are right with; the third and fourth exist in demos only.
_READERS = {"reader": 0.97, "reader2": 0.94, "reader3": 0.9, "reader4": 0.96}
_MORE = {"screener2": "screener", "reader3": "reader", "reader4": "reader"}


class Command(BaseCommand):
    requires_system_checks: list[str] = []
    help = (
        "Fill a new data folder (DATA_DIR, else demo-data) with drawn eyes, made-up patients, readers with histories "
        "and a trained challenger, and run the system on it. A folder that holds anything else is refused."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--patients", type=int, default=180, help="how many patients come (180)")
        parser.add_argument("--no-run", action="store_true", help="only fill the folder")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is no demo folder. Start with `manage.py demo` itself: it marks its folder first.")
        if not folder.read_mark(settings.DATA_DIR).get("made"):
            self._fill(options["patients"])
        self.stdout.write("\nDemo: every eye is drawn, every person is made up. Sign in as:\n")
        for name, password in folder.read_mark(settings.DATA_DIR)["people"].items():
            self.stdout.write(f"  {name:<12} {password}")
        if not options["no_run"]:
            call_command("up", setup=True)

    def _fill(self, patients: int) -> None:
        with drawing.drawn_visits(patients) as visits:  # meanwhile the database is made
            self.stdout.write("Making the demo ...")
            logging.getLogger(nudge.__name__).setLevel(logging.ERROR)  # there is no broker yet: sweeps find the work
            with history.days_ago(drawing.DAYS + 1):  # the release serves since before the first visit
                call_command("setup", stdout=io.StringIO())
            passwords, people = self._hire()
            history.live(people, visits, say=self.stdout.write)
        history.queue_challenger(people.admin)  # a worker trains it, when the system runs
        refresh_statistics()
        folder.write_mark(settings.DATA_DIR, {"made": True, "people": passwords})

    def _hire(self) -> tuple[dict[str, str], history.People]:
        """The people of the demo, and their passwords."""
        for name, role in _MORE.items():
            accounts.set_roles(user=User.objects.create_user(name), roles=[Group.objects.get(name=role)], by=None)
        passwords = {name: secrets.token_urlsafe(6) for name in (*FIRST_USERS, *_MORE)}
        users = {user.username: user for user in User.objects.filter(username__in=passwords)}
        for name, password in passwords.items():
            accounts.change_password(user=users[name], password=password)
        return passwords, history.People(
            screeners=[users["screener"], users["screener2"]],
            readers={users[name]: accuracy for name, accuracy in _READERS.items()},
            adjudicator=users["adjudicator"],
            admin=users["admin"],
        )
