"""The folder of a release on this host: RELEASE_DIR/<id>, fetched from the object store where hosts share one.

A folder appears there complete and verified, or not at all; a damaged copy is fetched again. The manifest is sent to
the object store last, so a release that can be found there is complete.
"""

import logging
import shutil
import uuid
from pathlib import Path

from django.conf import settings

from cataract.core import shared
from cataract.core.errors import StorageUnavailable
from cataract.core.files import sync_folder
from cataract.ml.release.manifest import MANIFEST, SIGNATURE, Manifest, ReleaseCorrupt, verify

log = logging.getLogger(__name__)


def ensure_here(release_id: str, sha256: str) -> Manifest:
    """The verified manifest of the release in RELEASE_DIR. Raises ReleaseCorrupt."""
    folder = Path(settings.RELEASE_DIR) / release_id
    if not shared.is_on():
        return verify(folder, sha256=sha256)
    if folder.is_dir():
        try:
            return verify(folder, sha256=sha256)
        except ReleaseCorrupt as error:
            log.error("The copy of release %s is damaged and fetched again: %s", release_id, error)
    return _fetch(folder, sha256)


def publish(folder: Path, manifest: Manifest) -> None:
    """Send a verified, signed release folder to the object store, where hosts share one. Raises StorageUnavailable."""
    if not shared.is_on() or shared.exists(_name(manifest.id, MANIFEST)):
        return
    for name in [*manifest.files, SIGNATURE, MANIFEST]:
        shared.send(_name(manifest.id, name), folder / name)


def _name(release_id: str, name: str) -> str:
    return f"releases/{release_id}/{name}"


def _fetch(folder: Path, sha256: str) -> Manifest:
    temporary = folder.parent / f".tmp-{uuid.uuid4().hex}"
    prefix = _name(folder.name, "")
    try:
        for name in shared.names(prefix.rstrip("/")):
            shared.fetch(name, temporary / name.removeprefix(prefix))
        manifest = verify(temporary, sha256=sha256)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        sync_folder(folder.parent)
    except (OSError, StorageUnavailable) as error:
        if folder.is_dir():  # another process was faster
            return verify(folder, sha256=sha256)
        raise ReleaseCorrupt(f"{folder.name} cannot be fetched: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest
