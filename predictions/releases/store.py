"""Release folders on disk: register a built folder, find it again."""

import contextlib
import logging
import re
import shutil
import uuid
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from cataract.core import shared
from cataract.core.audit.models import Act, AuditEntry
from cataract.core.audit.services import record
from cataract.core.failpoints import hit
from cataract.core.files import sync_folder
from cataract.ml.release.manifest import Manifest, ReleaseCorrupt, verify
from predictions.releases import files, signing
from predictions.releases.models import Release
from predictions.releases.serving import load_verified

log = logging.getLogger(__name__)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def register_release(*, folder: Path, status: str = Release.Status.CHALLENGER, rejection: str = "") -> Release:
    """Register a release folder: verify, copy below RELEASE_DIR, sign, check its golden predictions, create its row.

    The same release again returns its row. `status` is challenger or base: champions are made by `make_champion`. With
    a `rejection`, the reason, the release is registered as rejected. Raises ReleaseCorrupt and StorageUnavailable; then
    there is no row.
    """
    manifest = verify(folder)
    if not _ID.fullmatch(manifest.id):
        raise ReleaseCorrupt(f"{manifest.id!r} cannot be the id of a release.")
    _copy_in(folder, manifest)
    signing.sign(Path(settings.RELEASE_DIR) / manifest.id)
    hit("release.copied")
    load_verified(manifest.id, manifest.sha256).check_golden()
    files.publish(folder_named(manifest.id), manifest)
    release, _ = Release.objects.get_or_create(
        pk=manifest.id,
        defaults={
            "status": Release.Status.REJECTED if rejection else status,
            "rejected_at": timezone.now() if rejection else None,
            "rejection": rejection,
            "manifest_sha256": manifest.sha256,
            "encoder": manifest.encoder.hash,
            "manifest": manifest.raw,
            "metrics": manifest.metrics,
        },
    )
    return release


def folder_of(release: Release) -> Path:
    """Where the files of a registered release lie on this host; without its files where they are nowhere."""
    folder = folder_named(release.pk)
    if shared.is_on() and not folder.is_dir():
        with contextlib.suppress(ReleaseCorrupt):
            files.ensure_here(release.pk, release.manifest_sha256)
    return folder


def folder_named(release_id: str) -> Path:
    return Path(settings.RELEASE_DIR) / release_id


def sign_all(*, again: bool) -> list[str]:
    """Sign the registered releases whose files are those on record; returns their ids.

    Without `again` only where no release was ever signed: at the upgrade of an installation that did not sign. Later a
    missing signature is a reason to look, so a person asks for it. Recorded in the audit log.
    """
    if not again and AuditEntry.objects.filter(act=Act.RELEASES_SIGNED).exists():
        return []
    signed = []
    for release in Release.objects.order_by("pk"):
        folder = folder_of(release)
        try:
            verify(folder, sha256=release.manifest_sha256)
        except ReleaseCorrupt as error:
            log.warning("Not signed: %s", error)
            continue
        signing.sign(folder)
        signed.append(release.pk)
    record(Act.RELEASES_SIGNED, releases=signed)
    return signed


def _copy_in(folder: Path, manifest: Manifest) -> None:
    """Copy to RELEASE_DIR/<id>: the folder appears there complete or not at all."""
    target = folder_named(manifest.id)
    if target.exists():
        verify(target, sha256=manifest.sha256)
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = target.parent / f".tmp-{uuid.uuid4().hex}"
    try:
        shutil.copytree(folder, temporary)
        verify(temporary, sha256=manifest.sha256)
        temporary.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
