"""The audit log: who did and saw what is recorded with the act, sealed into a chain, and any change to it is found."""

import json
import os
import sqlite3
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cataract.accounts.services import make_key, revoke_key
from cataract.core.audit import chain
from cataract.core.audit.models import Act, AuditEntry, AuditSeal
from cataract.core.audit.services import current, record
from cataract.core.models import ApiToken
from cataract.core.tokens import create_token
from cataract.ops.audit import heads, worker
from cataract.ops.notices.conditions import broken_record
from predictions.answering.services import disclose
from predictions.consent.services import change_consent
from predictions.photos.models import EyeImage
from predictions.releases.models import Promotion
from predictions.retention import services as retention
from review.labels.models import Label
from review.reading import services as reading
from tests.factories import PASSWORD, PredictionFactory, ReaderFactory, UserFactory, jpeg_bytes
from tests.record import lifted
from tests.review.makers import make_case
from tests.review.test_pages import stored_image

pytestmark = pytest.mark.django_db


def acts(**found: Any) -> list[str]:
    return list(AuditEntry.objects.filter(**found).order_by("pk").values_list("act", flat=True))


def faults(**options: Any) -> list[str]:
    return list(chain.verify(**options))


@pytest.fixture
def log(champion: Any) -> User:
    """A log about everything that is audited: a reading, a label, a consent, answers shown, a promotion."""
    case, reader = make_case("normal", image=stored_image(patient_key="P-1")), ReaderFactory.create(username="eve")
    reading.claim_case(case=case, reader=reader)
    reading.store_blind_answer(case=case, reader=reader, answer="normal")
    change_consent(photos=EyeImage.objects.all(), may_train=False, reason="asked", user=reader)
    chain.seal()
    return reader


# What is recorded -----------------------------------------------------------------------------------------------------
def test_signing_in_and_out_is_recorded_with_session_and_address(client: Client) -> None:
    user = UserFactory.create(username="ann", roles=["screener"])
    client.post("/accounts/login/", {"login": "ann", "password": "wrong"}, REMOTE_ADDR="192.0.2.7")
    client.post("/accounts/login/", {"login": "nobody", "password": "wrong"})
    client.post("/accounts/login/", {"login": "ann", "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")
    client.get("/uploads/")
    client.post("/accounts/logout/")
    about_sessions = ["sign_in_failed", "signed_in", "signed_out"]
    failed, unknown, signed_in, signed_out = AuditEntry.objects.filter(act__in=about_sessions).order_by("pk")
    assert (failed.act, failed.object, failed.user, failed.address) == (
        "sign_in_failed",
        str(user.pk),
        None,
        "192.0.2.7",
    )
    assert (unknown.act, unknown.object) == ("sign_in_failed", "") and "nobody" not in str(vars(unknown))
    assert (signed_in.act, signed_in.username, signed_in.address) == ("signed_in", "ann", "192.0.2.7")
    assert (signed_out.act, signed_out.user) == ("signed_out", user) and signed_out.session == signed_in.session != ""


def test_a_photo_that_is_sent_seen_and_downloaded_is_recorded(client: Client, champion: Any) -> None:
    admin = UserFactory.create(roles=["admin"])
    _, key = create_token(user=admin, name="robot", scopes=["upload", "read"], days=1)
    robot = Client(headers={"Authorization": f"Bearer {key}"})
    sent = robot.post(
        "/api/v1/predictions", {"photo": ContentFile(jpeg_bytes(3), "a.jpg"), "patient": "P-7", "eye": "OD"}
    )
    assert sent.status_code == 201
    image = EyeImage.objects.get()
    assert acts(object=str(image.pk)) == ["photo_sent"]
    assert AuditEntry.objects.get(act="photo_sent").key == ApiToken.objects.get().pk
    shown = AuditEntry.objects.get(act="answers_shown")
    assert shown.user == admin and shown.detail["predictions"] == [sent.json()["id"]]
    client.force_login(admin)
    for kind in ("thumb", "view", "view", "original"):
        assert client.get(f"/photos/{image.pk}/{kind}/").status_code == 200
    assert acts(object=str(image.pk)) == ["photo_sent", "photo_viewed", "photo_downloaded"]
    with mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(hours=1)):
        client.get(f"/photos/{image.pk}/view/")
    assert acts(object=str(image.pk), act="photo_viewed") == ["photo_viewed"] * 2
    assert "P-7" not in str([vars(entry) for entry in AuditEntry.objects.all()]), "no pseudonym"


def test_readings_consents_deletions_rights_keys_and_promotions_are_recorded(log: User, client: Client) -> None:
    assert {"read", "labelled", "answers_shown", "consent_changed", "promoted"} <= set(acts())
    entry = AuditEntry.objects.get(act="read")
    assert entry.user == log and "normal" not in str(entry.detail), "never an answer"
    admin = UserFactory.create(roles=["admin"])
    (deletion,) = retention.delete_photos(photos=EyeImage.objects.all(), reason="asked", user=admin)
    retention.restore_deletion(deletion=deletion, user=admin)
    token, _ = make_key(user=admin, name="robot", scopes=["read"], days=1, by=admin)
    revoke_key(key=token, by=admin)
    log.groups.add(Group.objects.get(name="admin"))
    assert acts(user=admin, act__startswith="deletion") == ["deletion_asked", "deletion_moved", "deletion_moved"]
    assert acts(act__startswith="key") == ["key_made", "key_revoked"]
    assert AuditEntry.objects.filter(act="rights_changed", object=str(log.pk)).count() == 2
    superuser = UserFactory.create(is_superuser=True, is_staff=True)
    client.force_login(superuser)
    site = EyeImage.objects.get().site
    page = f"/admin/predictions/site/{site.pk}/change/"
    form = client.get(page).context["adminform"].form
    values = {name: value for name, value in form.initial.items() if value not in (None, False)}
    assert client.post(page, values | {"name": "Other", "users": []}).status_code == 302
    changed = AuditEntry.objects.filter(act="admin_changed").first()
    assert changed is not None and changed.detail["of"] == "predictions.site" and changed.user == superuser


def test_an_act_that_is_rolled_back_leaves_no_entry() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(Act.EXPORTED)
        raise ZeroDivisionError
    assert acts() == []


def test_answers_shown_again_cost_one_query_and_no_entry() -> None:
    prediction, user = PredictionFactory.create(decision="normal"), UserFactory.create()
    disclose(predictions=[prediction], user=user)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        disclose(predictions=[prediction], user=user)
    assert len(queries) == 1 and acts() == ["answers_shown"]


# The chain ------------------------------------------------------------------------------------------------------------
def test_a_whole_chain_is_verified_and_its_head_is_kept(log: User, settings: Any) -> None:
    assert AuditSeal.objects.count() == AuditEntry.objects.count() > 3 and faults() == []
    assert worker.verify_and_keep_head() == [] and acts()[-1] == "chain_verified"
    (kept,) = heads.kept()
    assert heads.path().read_text() == f"{kept}\n" and faults(heads=[kept]) == []
    assert list(broken_record()) == []


_ENTRY, _SEAL = "cataract_auditentry", "cataract_auditseal"
TAMPERING: dict[str, list[str]] = {
    "an entry is changed": [f"UPDATE {_ENTRY} SET username = 'mallory' WHERE id = {{first}}"],
    "a time is changed": [f"UPDATE {_ENTRY} SET at = '2020-01-01 00:00:00' WHERE id = {{first}}"],
    "a detail is changed": [f"UPDATE {_ENTRY} SET detail = '{{{{}}}}' WHERE id = {{last}}"],
    "an entry is deleted": [
        f"DELETE FROM {_SEAL} WHERE entry_id = {{first}}",
        f"DELETE FROM {_ENTRY} WHERE id = {{first}}",
    ],
    "a seal is deleted": [f"DELETE FROM {_SEAL} WHERE number = 2"],
    "the end is cut off": [
        f"DELETE FROM {_SEAL} WHERE number >= {{end}}",
        f"DELETE FROM {_ENTRY} WHERE id >= {{last}}",
    ],
    "two entries change places": [
        f"UPDATE {_SEAL} SET entry_id = -1 WHERE number = 1",
        f"UPDATE {_SEAL} SET entry_id = {{first}} WHERE number = 2",
        f"UPDATE {_SEAL} SET entry_id = {{second}} WHERE number = 1",
    ],
    "a reading is changed": ["UPDATE review_reading SET blind_answer = 'cataract'"],
    "a note is changed": ["UPDATE review_reading SET note = 'x'"],
    "a label is changed": ["UPDATE review_label SET answer = 'cataract'"],
    "a label is deleted": ["DELETE FROM review_label_readings", "DELETE FROM review_label"],
    "an answer is changed": ["UPDATE predictions_prediction SET probability = 0.99"],
    "a promotion is changed": ["UPDATE predictions_promotion SET reason = 'x'"],
    "a consent is changed": ["UPDATE predictions_consentchange SET reason = 'x'"],
}


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_past_the_triggers_is_found(how: str, log: User) -> None:
    assert faults() == []
    ids = list(AuditEntry.objects.order_by("pk").values_list("pk", flat=True))
    before, end = chain.head(), AuditSeal.objects.count()
    with lifted(), connection.cursor() as cursor:
        for statement in TAMPERING[how]:
            cursor.execute(statement.format(first=ids[0], second=ids[1], last=ids[-1], end=end))
            assert cursor.rowcount > 0
    assert faults(heads=[before]), how


def test_a_chain_that_was_written_anew_is_found(log: User, settings: Any) -> None:
    """All hashes are computed anew after a change: without the key no seal is signed; with it, an old head tells."""
    before = chain.head()

    def write_anew() -> None:
        with lifted():
            AuditSeal.objects.all().delete()
            AuditEntry.objects.filter(act="read").update(username="mallory")
        chain.seal(everything=True)

    key = settings.SECRET_KEY
    settings.SECRET_KEY = "the key of somebody else " * 3
    write_anew()
    settings.SECRET_KEY = key
    assert any("not signed" in fault for fault in faults())
    write_anew()
    assert faults() == []
    assert any("written anew" in fault for fault in faults(heads=[before]))
    with pytest.raises(ValueError, match="not signed"):
        chain.Head.read(str(before).replace(f" {before.number} ", f" {before.number + 1} "))


def test_a_key_that_was_replaced_still_vouches_for_old_seals(log: User, settings: Any) -> None:
    head = str(chain.head())
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new key of the installation " * 2
    assert faults(heads=[chain.Head.read(head)]) == []


def test_entries_that_nobody_seals_are_reported() -> None:
    record(Act.EXPORTED)
    assert faults() == []
    with lifted():
        AuditEntry.objects.update(at=timezone.now() - timedelta(hours=1))
    assert any("not sealed" in fault for fault in faults())
    assert chain.seal() == 1 and faults() == []


def test_faults_are_recorded_and_admins_are_told(log: User) -> None:
    with lifted():
        Label.objects.update(weight=7)
        Promotion.objects.update(reason="x")
    assert len(worker.verify_and_keep_head()) == 2 and acts()[-1] == "chain_broken"
    (finding,) = broken_record()
    assert finding.detail == "Faults found: 2." and not heads.path().exists()


# Commands and the page ------------------------------------------------------------------------------------------------
def test_the_commands_print_verify_and_export(log: User, tmp_path: Path) -> None:
    out = StringIO()
    call_command("audit_head", stdout=out)
    line = out.getvalue().strip()
    call_command("audit_verify", "--head", line, stdout=out)
    assert "The audit log is whole" in out.getvalue()
    today = timezone.now().date().isoformat()
    for form in ("csv", "jsonl"):
        call_command("audit_export", "--from", today, "--to", today, "--format", form, "--out", str(tmp_path / form))
    rows = [json.loads(row) for row in (tmp_path / "jsonl").read_text().splitlines()]
    assert rows[0]["number"] == 1 and len(rows[0]["hash"]) == 64
    assert (tmp_path / "csv").read_text().count("\n") == len(rows)  # a line of names, and one export less
    with lifted():
        Label.objects.update(weight=7)
    with pytest.raises(CommandError, match="1 fault"):
        call_command("audit_verify", stderr=StringIO())
    with pytest.raises(CommandError, match="not signed"):
        call_command("audit_verify", "--head", "nonsense")


def test_an_auditor_searches_the_log_page_by_page_and_downloads_it(log: User, client: Client) -> None:
    client.force_login(UserFactory.create(roles=["auditor"]))
    for _ in range(130):
        record(Act.TRAINING_STARTED)
    page = client.get("/audit/?act=training_started").content.decode()
    assert page.count("started or stopped") == 101 and "Older entries" in page
    older = page.partition("before=")[2].partition('"')[0]
    with CaptureQueriesContext(connection) as queries:
        page = client.get(f"/audit/?act=training_started&before={older}").content.decode()
    assert page.count("started or stopped") == 31 and "Older entries" not in page and len(queries) < 14
    assert "eve" in client.get("/audit/?act=read&username=eve").content.decode()
    image = EyeImage.objects.get()
    assert "No entries" in client.get(f"/audit/?object={image.pk}&until=2020-01-01").content.decode()
    assert client.get("/audit/?since=nonsense").status_code == 422
    assert current.get() is None
    exported: Any = client.get("/audit/?act=read&format=csv")
    lines = b"".join(exported.streaming_content).decode().splitlines()
    assert len(lines) == 2 and "eve" in lines[1] and acts()[-1] == "exported"


def test_who_reads_blind_is_not_told_of_readings(log: User, client: Client) -> None:
    client.force_login(UserFactory.create(roles=["auditor", "reader"]))
    page = client.get("/audit/").content.decode()
    assert "left out" in page and "eve" in page
    assert "No entries" in client.get("/audit/?act=read").content.decode()


# Crashes --------------------------------------------------------------------------------------------------------------
_CRASH = """
import os, random, signal, sys, threading, time
from django.db import connection
from cataract.accounts.services import make_key, revoke_key
from cataract.core.audit import chain
from cataract.core.audit.models import Act, AuditEntry, AuditSeal
from cataract.core.audit.services import record

def write():
    while True:
        record(Act.EXPORTED, what="x" * 50)

def work(at_work):
    for _ in range(2):
        threading.Thread(target=write, daemon=True).start()
    while not chain.seal():
        pass
    os.write(at_work, b".")
    while True:
        chain.seal()

for _ in range(int(sys.argv[-1])):
    connection.close()
    is_at_work, at_work = os.pipe()
    child = os.fork()
    if not child:
        work(at_work)
    os.read(is_at_work, 1)
    time.sleep(random.uniform(0, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
chain.seal(everything=True)
print("counts", AuditEntry.objects.count(), AuditSeal.objects.count(), list(chain.verify()))
"""


def test_the_chain_survives_crashes(tmp_path: Path) -> None:
    """Processes that write and seal are killed at any moment: every entry is sealed once, and nothing is missing.

    `make faults` kills hundreds of them.
    """
    crashes = os.environ.get("CRASHES", "5")
    with sqlite3.connect(connection.settings_dict["NAME"]) as of, sqlite3.connect(tmp_path / "db.sqlite3") as copy:
        of.backup(copy)  # the tables, without the rows of this test
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "cataract.settings"}
    code = f"import sys; sys.argv.append({crashes!r})\n{_CRASH}"
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{code}"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    entries, seals, *found = done.stdout.rpartition("counts ")[2].split(maxsplit=2)
    assert int(entries) == int(seals) > 0 and found == ["[]\n"]
