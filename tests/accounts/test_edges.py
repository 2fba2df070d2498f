"""What strangers, other accounts of the host and old passwords can do: each a finding of a security review."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from cataract.accounts import services
from cataract.core import tokens
from cataract.core.audit.models import Act, AuditEntry
from cataract.ops.doctor import check_modes
from tests.factories import TrainingRunFactory, UserFactory
from training.runs import services as runs
from training.runs.models import TrainingRun

pytestmark = pytest.mark.django_db
LARGE = 70_000


def test_a_stranger_sends_no_large_body_with_a_made_up_token(client: Client) -> None:
    client.cookies["csrf-8000"] = "a" * 32
    for address in ("/accounts/login/", "/upload/", "/batches/"):
        answer = Client(enforce_csrf_checks=True).generic(
            "POST", address, b"x" * LARGE, content_type="multipart/form-data; boundary=b"
        )
        assert answer.status_code == 413 and "64 kB" in answer.content.decode(), address
    assert Client().post("/accounts/login/", {"login": "x", "password": "y" * 2000}).status_code == 200


def test_a_signed_in_person_sends_large_forms(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["screener"]))
    answer = client.post("/upload/", {"photo": "x" * LARGE})
    assert answer.status_code != 413, "the form says what is wrong with it"


def test_changepassword_on_the_server_ends_sessions_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    user = UserFactory.create(username="kay", roles=["screener"])
    browser = Client()
    browser.force_login(user)
    _, key = tokens.create_token(user=user, name="mine", scopes=["read"], days=1)
    monkeypatch.setattr("getpass.getpass", lambda **_: "correct horse battery staple")
    call_command("changepassword", "kay", verbosity=0)
    assert browser.get("/accounts/").status_code == 302
    assert Client().get("/api/v1/predictions", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    user.refresh_from_db()
    _, kept = tokens.create_token(user=user, name="kept", scopes=["read"], days=1)
    services.change_password(user=user, password="another correct horse battery")
    answer = Client().get("/api/v1/predictions", headers={"Authorization": f"Bearer {kept}"})
    assert answer.status_code == 200, "people who change their own are asked about their keys"


def test_a_data_folder_that_others_can_read_is_said(tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "db.sqlite3").touch(mode=0o600)
    tmp_path.chmod(0o755)
    assert [finding.level for finding in check_modes()] == ["ok"]
    (tmp_path / "db.sqlite3").chmod(0o644)
    found = list(check_modes())
    assert found[0].level == "error" and "db.sqlite3" in found[0].message and "chmod -R go-rwx" in found[0].cure
    tmp_path.chmod(0o700)
    assert [finding.level for finding in check_modes()] == ["ok"]


def test_what_the_processes_write_is_for_no_other_account() -> None:
    now = os.umask(0o077)
    assert now == 0o077, "the settings set it, so every process has it"


def test_stopping_and_resuming_a_training_is_in_the_audit_log() -> None:
    run = TrainingRunFactory.create(status=TrainingRun.Status.QUEUED)
    runs.cancel_run(run=run)
    entry = AuditEntry.objects.get(act=Act.TRAINING_STARTED, object=str(run.pk))
    assert entry.detail["event"] == "cancelled"
