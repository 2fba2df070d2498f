"""A release is loaded only with the signature of this installation, whatever database and release folder say."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import call_command
from django.test import Client

from cataract.core.audit.models import Act, AuditEntry
from cataract.ml.release.manifest import MANIFEST, SIGNATURE, ReleaseCorrupt, draft_manifest, read_manifest, verify
from cataract.ops.doctor import check_releases
from predictions.releases import serving, signing, store
from predictions.releases.models import Release
from tests.factories import UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(champion: Release) -> Path:
    return store.folder_of(champion)


def change(folder: Path) -> str:
    """Change a threshold as an intruder would who can write everything but the key; returns the manifest's digest."""
    policy = json.loads((folder / "policy.json").read_text())
    policy["auto"] = {"normal_below": 0.0, "cataract_above": 0.0}
    (folder / "policy.json").write_text(json.dumps(policy))
    manifest = read_manifest(folder)
    raw = draft_manifest(folder, manifest).raw | {"id": manifest.id}
    (folder / MANIFEST).write_text(json.dumps(raw))
    return verify(folder).sha256


def test_who_writes_files_and_digest_but_has_no_key_is_found(champion: Release, folder: Path) -> None:
    signing.check(folder)
    Release.objects.filter(pk=champion.pk).update(manifest_sha256=change(folder))
    champion.refresh_from_db()
    with pytest.raises(ReleaseCorrupt, match="not that of this installation"):
        serving.load_verified(champion.pk, champion.manifest_sha256)
    found = [finding for finding in check_releases(lambda _: None) if finding.level == "error"]
    assert "not that of this installation" in found[0].message


def test_an_unsigned_champion_answers_nothing(champion: Release, folder: Path) -> None:
    (folder / SIGNATURE).unlink()
    serving._holder.__init__()  # type: ignore[misc]  # another process
    client = Client()
    client.force_login(UserFactory.create(roles=["screener"]))
    from django.core.files.uploadedfile import SimpleUploadedFile

    photo = SimpleUploadedFile("a.jpg", jpeg_bytes(1))
    answer = client.post("/api/v1/predictions", {"photo": photo, "eye": "OD"})
    assert answer.json()["reasons"] == ["no_champion"]
    serving._holder.__init__()  # type: ignore[misc]


def test_a_signature_is_verified_elsewhere_with_the_public_key(folder: Path, capsys: Any) -> None:
    call_command("sign_releases", "--public-key")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(capsys.readouterr().out))
    manifest = read_manifest(folder)
    statement = f"cataract release\n{manifest.id}\n{manifest.sha256}\n".encode()
    key.verify(base64.b64decode((folder / SIGNATURE).read_text()), statement)


def test_earlier_keys_vouch_until_they_are_dropped(folder: Path, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key of fifty characters, or so"
    signing.check(folder)
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ReleaseCorrupt):
        signing.check(folder)
    call_command("sign_releases", verbosity=0)
    signing.check(folder)


def test_releases_of_before_are_signed_once_at_the_upgrade_and_then_by_a_person(
    champion: Release, folder: Path
) -> None:
    (folder / SIGNATURE).unlink()
    assert store.sign_all(again=False) == [champion.pk]
    signing.check(folder)
    (folder / SIGNATURE).unlink()
    assert store.sign_all(again=False) == [], "a signature that is missing later is a reason to look"
    assert store.sign_all(again=True) == [champion.pk]
    assert AuditEntry.objects.filter(act=Act.RELEASES_SIGNED).count() == 2


def test_a_changed_release_is_never_signed(champion: Release, folder: Path) -> None:
    change(folder)
    (folder / SIGNATURE).unlink()
    assert store.sign_all(again=True) == []
    assert not (folder / SIGNATURE).exists()
