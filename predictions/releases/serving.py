"""Cascades of this process: verified, then loaded once."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections

from cataract.core import shared
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.release.manifest import ReleaseCorrupt
from cataract.ml.release.seen import read_seen
from predictions.releases import files, signing
from predictions.releases.models import Release

log = logging.getLogger(__name__)

_RETRY_CORRUPT_SECONDS = 30.0


def load(release: Release) -> Cascade:
    """The cascade of `release`, verified first, kept in this process. Raises ReleaseCorrupt."""
    return _holder.get(release.pk, lambda: load_verified(release.pk, release.manifest_sha256))


def champion() -> Cascade | None:
    """The cascade that serves now. One query, so a promotion reaches every process with the next request.

    None when there is no champion or its files are damaged (logged): then a clinician reviews every photo.
    """
    serving = Release.objects.champions().values_list("pk", "manifest_sha256").first()
    return None if serving is None else champion_or_none(*serving)


def champion_or_none(release_id: str, sha256: str) -> Cascade | None:
    """The cascade of the champion; None when its files are damaged, which is logged."""
    cascade = load_or_none(release_id, sha256)
    if cascade is None:
        log.error("The champion cannot serve: photos go to people.")
    return cascade


def warm_up() -> None:
    """Load the champion before the first photo arrives, and close this thread's database connections."""
    try:
        champion()
    except DatabaseError as error:  # not migrated yet: the first request that needs the champion reports it
        log.warning("The champion is not loaded yet: %s", error)
    finally:
        connections.close_all()


def seen_hashes() -> list[str]:
    """The perceptual hashes of the photos that the champion was trained on, empty when it lists none."""
    serving = Release.objects.champions().values_list("pk", flat=True).first()
    return seen_by(serving) if serving else []


def seen_by(release_id: str) -> list[str]:
    """The perceptual hashes of the photos that this release was trained on, empty when it lists none."""
    return _holder.seen(release_id)


def load_or_none(release_id: str, sha256: str) -> Cascade | None:
    """The cascade, or None (logged) when its files are damaged; a damaged release is not checked again for a while."""
    if _holder.is_known_corrupt(release_id):
        return None
    try:
        return _holder.get(release_id, lambda: load_verified(release_id, sha256))
    except ReleaseCorrupt as error:
        _holder.remember_corrupt(release_id)
        log.error("Release %s cannot serve: %s", release_id, error)
        return None


def load_verified(release_id: str, sha256: str) -> Cascade:
    """A new cascade from the release folder, files and signature checked first; not kept. Raises ReleaseCorrupt."""
    manifest = files.ensure_here(release_id, sha256)
    folder = Path(settings.RELEASE_DIR) / release_id
    signing.check(folder)
    return Cascade.assemble(
        folder, manifest, providers=tuple(settings.INFERENCE_PROVIDERS), threads=settings.INFERENCE_THREADS
    )


def _bring_here(folder: Path) -> None:
    """Fetch a release that this process has not loaded, where hosts share an object store. Raises ReleaseCorrupt."""
    if shared.is_on() and not folder.is_dir():
        files.ensure_here(folder.name, Release.objects.values_list("manifest_sha256", flat=True).get(pk=folder.name))


class _Holder:
    """A cache of this process's cascades: few, immutable, loaded once. A cascade in use survives its eviction."""

    KEEP = 4  # champion, the one before it (a rollback answers at once), and a challenger on each kind of live test

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cascades: dict[tuple[Path, str], Cascade] = {}
        self._used: dict[tuple[Path, str], float] = {}
        self._seen: dict[tuple[Path, str], list[str]] = {}
        self._corrupt: dict[tuple[Path, str], float] = {}

    def get(self, release_id: str, make: Callable[[], Cascade]) -> Cascade:
        key = self._key(release_id)
        self._used[key] = time.monotonic()
        found = self._cascades.get(key)
        if found is not None:  # without the lock: no request waits while another release is loaded
            return found
        with self._lock:
            if key not in self._cascades:
                loaded = make()
                by_use = sorted(self._cascades, key=lambda each: self._used.get(each, 0.0))
                kept = {each: self._cascades[each] for each in by_use[-(self.KEEP - 1) :]}
                self._cascades = {**kept, key: loaded}
            return self._cascades[key]

    def seen(self, release_id: str) -> list[str]:
        key = self._key(release_id)
        if key not in self._seen:
            try:
                _bring_here(key[0] / release_id)
                self._seen = {key: read_seen(key[0] / release_id)}
            except ReleaseCorrupt as error:
                log.error("%s", error)
                self._seen = {key: []}
        return self._seen[key]

    def remember_corrupt(self, release_id: str) -> None:
        self._corrupt[self._key(release_id)] = time.monotonic()

    def is_known_corrupt(self, release_id: str) -> bool:
        """Whether its check failed recently: hashing the files again for each upload would slow everything down."""
        since = self._corrupt.get(self._key(release_id))
        return since is not None and time.monotonic() - since < _RETRY_CORRUPT_SECONDS

    @staticmethod
    def _key(release_id: str) -> tuple[Path, str]:
        return Path(settings.RELEASE_DIR), release_id


_holder = _Holder()
