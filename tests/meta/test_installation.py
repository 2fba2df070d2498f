"""What an installation says and does when what it needs is lost: the secret key, the files of the broker."""

import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from cataract.core.audit.models import Act, AuditEntry
from cataract.core.broker import server
from cataract.ops import doctor
from cataract.ops.installation.models import Installation
from cataract.ops.installation.services import note_secret, secret_state

pytestmark = pytest.mark.django_db

OTHER = "another-" + "y" * 60


def test_another_key_is_said_until_somebody_accepts_it(settings: Any) -> None:
    assert note_secret() == "unknown" and secret_state() == "known"
    assert settings.SECRET_KEY not in Installation.objects.get().secret_digest
    first, settings.SECRET_KEY = settings.SECRET_KEY, OTHER
    assert note_secret() == "lost" and secret_state() == "lost"
    (finding,) = doctor.check_secret()
    assert finding.level == "error" and "API keys and second factors" in finding.message and "backup" in finding.cure
    settings.SECRET_KEY = first
    assert secret_state() == "known", "the old key put back"
    settings.SECRET_KEY = OTHER
    assert note_secret(accept_new=True) == "lost" and secret_state() == "known"
    assert [finding.level for finding in doctor.check_secret()] == ["ok"]
    assert AuditEntry.objects.get(act=Act.OPERATED).detail == {"what": "accepted another secret key", "before": "lost"}


def test_a_rotated_key_is_no_lost_one(settings: Any) -> None:
    note_secret()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], OTHER
    assert secret_state() == "rotated" and [finding.level for finding in doctor.check_secret()] == ["ok"]
    assert note_secret() == "rotated" and secret_state() == "known"


def test_setup_says_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("_collect_static", "_install_starter", "_create_first_users"):
        monkeypatch.setattr(f"cataract.management.commands.setup.Command.{step}", lambda _self: None)
    said = StringIO()
    call_command("setup", stdout=StringIO(), stderr=said)
    assert not said.getvalue()
    settings.SECRET_KEY = OTHER
    call_command("setup", stdout=StringIO(), stderr=said)
    assert "is not the one with which this installation works" in said.getvalue()
    call_command("setup", "--accept-new-secret", stdout=StringIO(), stderr=said)
    assert "Another secret key is accepted." in said.getvalue() and secret_state() == "known"


def test_broker_files_that_cannot_be_read_are_moved_aside(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("b")
    folder, socket = place / "broker", place / "s"
    assert server.set_aside_unreadable(folder) is None, "a new system"
    broker = subprocess.Popen(server.server_command(socket, folder), stdout=subprocess.DEVNULL)
    try:
        server.wait_until_ready(f"redis+socket://{socket}")
    finally:
        broker.terminate()
        broker.wait()
    assert server.set_aside_unreadable(folder) is None and folder.is_dir(), "files that it can read stay"
    base: Path = next(folder.rglob("*.base.*"))
    base.write_bytes(b"REDIS9999 of a server to come")
    aside = server.set_aside_unreadable(folder)
    assert aside is not None and aside.name.startswith("broker.unreadable-") and not folder.exists()
    assert (aside / base.relative_to(folder)).read_bytes().startswith(b"REDIS9999"), "kept for whoever wants to look"
