"""`manage.py setup`: everything between an installed package and a running system. Fast when there is nothing to do."""

import argparse
import hashlib
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from cataract import roles
from cataract.accounts import services as accounts
from cataract.core import tokens
from cataract.core.checks import SETTINGS
from cataract.core.models import ApiToken
from cataract.ops.backup.repository import BackupFailed
from cataract.ops.installation import services as installation
from cataract.ops.installation.services import CURE, LOST
from cataract.ops.upgrades import services as upgrades
from predictions.releases import store
from predictions.releases.models import Release
from predictions.releases.services import starter_on_offer

# The first users, by name, with their roles. A second reader, because a case needs two blind readers.
FIRST_USERS = {**{role: role for role in roles.ROLES}, "reader2": "reader"}


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Migrate, create one user per role (passwords printed once), install the starter release, collect static files."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--no-static", action="store_true", help="static files are in the image already")
        parser.add_argument(
            "--accept-new-secret", action="store_true", help="go on with another SECRET_KEY; the old one is lost"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._migrate()
        if installation.note_secret(accept_new=options["accept_new_secret"]) == "lost":
            words = "Another secret key is accepted." if options["accept_new_secret"] else f"{LOST}\n{CURE}"
            self.stderr.write(self.style.WARNING(words))
        if not options["no_static"]:
            self._collect_static()
        self._install_starter()
        store.sign_all(again=False)
        roles.ensure_roles()
        self._create_first_users()

    def _migrate(self) -> None:
        try:
            upgrades.bring_up_to_date(say=self.stdout.write)
        except (upgrades.UpgradeRefused, BackupFailed) as error:
            raise CommandError(str(error)) from None

    def _collect_static(self) -> None:
        """Collect when a static file has changed since the last time: compressing all of them takes seconds."""
        stamp = settings.STATIC_ROOT / ".collected"
        fingerprint = _static_fingerprint()
        if stamp.exists() and stamp.read_text() == fingerprint:
            return
        self.stdout.write("Collecting static files ...")
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["redoc"])
        stamp.write_text(fingerprint)

    def _install_starter(self) -> None:
        if not Release.objects.exists():
            self.stdout.write("Installing the starter release ...")
            call_command("install_starter", stdout=self.stdout)
        elif starter := starter_on_offer():
            self.stdout.write(
                f"This version ships the release {starter}. To compare it with your champion, run "
                "`manage.py install_starter --challenger`; nothing serves it before an admin promotes it."
            )

    def _create_first_users(self) -> None:
        """Create the first users of an empty system. A user deleted later does not come back."""
        if User.objects.exists():
            return
        passwords = {name: secrets.token_urlsafe(12) for name in FIRST_USERS}
        with transaction.atomic():
            for name, role in FIRST_USERS.items():
                # No superuser: one would count as a reader, too, and see no reasons in the worklist.
                user = User.objects.create_user(name)
                accounts.set_roles(user=user, roles=[Group.objects.get(name=role)], by=None)
                accounts.reset_password(user=user, password=passwords[name], by=None)
            integrator = User.objects.get(username="integrator")
            _row, token = tokens.create_token(
                user=integrator, name="first token", scopes=[ApiToken.Scope.UPLOAD, ApiToken.Scope.READ], days=90
            )
        self.stdout.write(
            "\nUsers (these passwords are shown once, and each user chooses another when they first sign in):\n"
        )
        for name, password in passwords.items():
            self.stdout.write(f"  {name:<12} {password:<18} {FIRST_USERS[name]}")
        self.stdout.write(f"\nAPI key of the integrator (shown once):\n  {token}\n")


def _static_fingerprint() -> str:
    """Changes when any file that `collectstatic` would copy has changed."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = (storage.path(path), storage.size(path), storage.get_modified_time(path).isoformat())
            digest.update(repr(status).encode())
    return digest.hexdigest()
