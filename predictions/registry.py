"""Release folders and Release rows: register, load, promote, roll back, and the champion that this process serves."""

import hashlib
import json
import logging
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from cataract.ml.cascade import Cascade
from cataract.ml.release import Manifest, ReleaseCorrupt, verify
from predictions import webhooks
from predictions.errors import AlreadyInstalled, PromotionConflict
from predictions.faults import hit
from predictions.models import EmbeddingJob, LiveTest, Promotion, Release, WebhookEndpoint
from predictions.storage import sync_folder

log = logging.getLogger(__name__)

_RETRY_CORRUPT_SECONDS = 30.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def register_release(*, folder: Path, status: str = Release.Status.CHALLENGER) -> Release:
    """Take a built release folder over: verified, copied below RELEASE_DIR, golden predictions checked, row made.

    The same release again returns its row. `status` is challenger, rejected or base: champions are made by
    `promote_release`. Raises ReleaseCorrupt and leaves nothing behind.
    """
    manifest = verify(folder)
    if not _ID.fullmatch(manifest.id):
        raise ReleaseCorrupt(f"{manifest.id!r} cannot be the id of a release.")
    _copy_in(folder, manifest)
    hit("release.copied")
    _load(manifest.id, manifest.sha256).check_golden()
    release, _ = Release.objects.get_or_create(
        pk=manifest.id,
        defaults={
            "status": status,
            "manifest_sha256": manifest.sha256,
            "encoder": manifest.encoder["hash"],
            "manifest": manifest.raw,
            "metrics": manifest.metrics,
        },
    )
    return release


def install_starter() -> Release:
    """Make the shipped starter release the champion of an empty system.

    Raises AlreadyInstalled when there is a champion, ReleaseCorrupt when the shipped folder is damaged or absent.
    """
    serving = Release.objects.in_status(Release.Status.CHAMPION).first()
    if serving is not None:
        raise AlreadyInstalled(f"Nothing to install: release {serving.pk} is serving.")
    release = register_release(folder=Path(settings.STARTER_DIR))
    promote_release(release=release, user=None, reason="The starter release, shipped with the program.")
    release.refresh_from_db()
    return release


def folder_of(release: Release) -> Path:
    """Where the files of a registered release lie."""
    return Path(settings.RELEASE_DIR) / release.pk


def load(release: Release) -> Cascade:
    """The cascade of `release`, verified first, kept in this process. Raises ReleaseCorrupt."""
    return _holder.get(release.pk, lambda: _load(release.pk, release.manifest_sha256))


def champion() -> Cascade | None:
    """The cascade that serves now: one query, so that a promotion reaches every process with the next request.

    None when there is no champion or its files are damaged (logged): then every photo goes to a person.
    """
    serving = Release.objects.filter(status=Release.Status.CHAMPION).values_list("pk", "manifest_sha256").first()
    if serving is None:
        return None
    cascade = _load_or_none(*serving)
    if cascade is None:
        log.error("The champion cannot serve: photos go to people.")
    return cascade


def answering(patient_key: str) -> Cascade | None:
    """The cascade that answers this patient now: the champion, or in an A/B test the challenger for its share of them.

    One patient is on one arm for as long as the test runs, in every process. A challenger whose files are damaged is
    logged, and the champion answers. None when the champion would have to and cannot.
    """
    test = LiveTest.objects.running(LiveTest.Kind.AB).select_related("challenger").first()
    if test is not None and is_on_challenger(test, patient_key):
        cascade = _load_or_none(test.challenger_id, test.challenger.manifest_sha256)
        if cascade is not None:
            return cascade
    return champion()


def is_on_challenger(test: LiveTest, patient_key: str) -> bool:
    """Whether an A/B test gives this patient to the challenger: by a hash of its id and the patient's key.

    Photos without a patient key are the champion's: nobody could say whether they are of one patient.
    """
    if not patient_key or test.share is None:
        return False
    digest = hashlib.sha256(f"{test.pk}:{patient_key}".encode()).digest()
    return int.from_bytes(digest[:8]) < test.share * 2**64


def warm_up() -> None:
    """Load the champion in a thread of its own, so that the first upload after a start does not wait for it."""

    def load_champion() -> None:
        try:
            champion()
        except DatabaseError as error:  # not migrated yet: the first request that needs it will say so
            log.warning("The champion is not loaded yet: %s", error)
        finally:
            connection.close()

    threading.Thread(target=load_champion, name="warm-up", daemon=True).start()


def seen_hashes() -> list[str]:
    """The perceptual hashes of the photos that the champion was trained on, empty when it lists none."""
    serving = Release.objects.filter(status=Release.Status.CHAMPION).values_list("pk", flat=True).first()
    return _holder.seen(serving) if serving else []


def promote_release(*, release: Release, user: User | None, reason: str, is_rollback: bool = False) -> Promotion:
    """Make `release` the champion, after its files and golden predictions have been checked again.

    Raises ReleaseCorrupt, and PromotionConflict when the champion changed meanwhile or `release` may not serve. The
    old champion then keeps serving.
    """
    previous = Release.objects.in_status(Release.Status.CHAMPION).first()
    if previous is not None and previous.pk == release.pk:
        raise PromotionConflict(f"Release {release.pk} is already serving.")
    _load(release.pk, release.manifest_sha256).check_golden()
    try:
        with transaction.atomic():
            if previous is not None and not Release.objects.filter(pk=previous.pk).move(Release.Status.RETIRED):
                raise PromotionConflict("Somebody else changed the champion meanwhile. Look again before promoting.")
            moved = Release.objects.filter(pk=release.pk).move(Release.Status.CHAMPION, promoted_at=timezone.now())
            if not moved:
                raise PromotionConflict(f"Release {release.pk} was rejected or is already serving.")
            LiveTest.objects.all().end(user=user, reason=f"Release {release.pk} became the champion.")
            if previous is None or previous.encoder != release.encoder:
                EmbeddingJob.objects.ask_for(release=release, user=user)
            data = {"release": release.pk, "previous": previous and previous.pk, "is_rollback": is_rollback}
            webhooks.record(WebhookEndpoint.Event.RELEASE_PROMOTED, data)
            return Promotion.objects.create(
                release=release, previous=previous, promoted_by=user, reason=reason, is_rollback=is_rollback
            )
    except IntegrityError:  # one champion, says the database: another promotion came first
        raise PromotionConflict("Somebody else promoted a release meanwhile. Look again before promoting.") from None


def rollback(*, user: User | None, reason: str) -> Promotion:
    """Give the place back to the release that served before. Raises PromotionConflict when there is none."""
    last = Promotion.objects.select_related("previous").filter(release__status=Release.Status.CHAMPION).first()
    if last is None or last.previous is None:
        raise PromotionConflict("There is no earlier champion to go back to.")
    return promote_release(release=last.previous, user=user, reason=reason, is_rollback=True)


def _copy_in(folder: Path, manifest: Manifest) -> None:
    """Copy to RELEASE_DIR/<id>: the folder appears there whole or not at all."""
    target = Path(settings.RELEASE_DIR) / manifest.id
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


def _load_or_none(release_id: str, sha256: str) -> Cascade | None:
    """The cascade, or None (logged) when its files are damaged; that is then not looked at again for a while."""
    if _holder.is_known_corrupt(release_id):
        return None
    try:
        return _holder.get(release_id, lambda: _load(release_id, sha256))
    except ReleaseCorrupt as error:
        _holder.remember_corrupt(release_id)
        log.error("Release %s cannot serve: %s", release_id, error)
        return None


def _load(release_id: str, sha256: str) -> Cascade:
    folder = Path(settings.RELEASE_DIR) / release_id
    manifest = verify(folder, sha256=sha256)
    return Cascade.assemble(
        folder, manifest, providers=tuple(settings.INFERENCE_PROVIDERS), threads=settings.INFERENCE_THREADS
    )


class _Holder:
    """The cascades of this process: few, immutable, loaded once. A cascade in use outlives its place here."""

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
        if found is not None:  # without the lock: nobody waits while another release is being loaded
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
                text = (key[0] / release_id / "seen.json").read_text(encoding="utf-8")
                self._seen = {key: list(json.loads(text)["hashes"])}
            except (OSError, ValueError, KeyError, TypeError):
                self._seen = {key: []}
        return self._seen[key]

    def remember_corrupt(self, release_id: str) -> None:
        self._corrupt[self._key(release_id)] = time.monotonic()

    def is_known_corrupt(self, release_id: str) -> bool:
        """Whether it failed a moment ago: hashing it again for each upload would only slow everything down."""
        since = self._corrupt.get(self._key(release_id))
        return since is not None and time.monotonic() - since < _RETRY_CORRUPT_SECONDS

    @staticmethod
    def _key(release_id: str) -> tuple[Path, str]:
        return Path(settings.RELEASE_DIR), release_id


_holder = _Holder()
