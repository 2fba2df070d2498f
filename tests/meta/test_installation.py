"""The canary of the secret key: what is said when the key is lost, exchanged or rotated."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from cataract.core.audit.models import Act, AuditEntry
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
