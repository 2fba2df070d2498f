"""The checks of `manage.py doctor`: each yields findings, and any error among them makes it exit with 1."""

import hashlib
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from celery import current_app
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import QuerySet
from django.utils import timezone

from cataract.core.broker.server import BrokerUnavailable, connect, ping
from cataract.core.errors import StorageUnavailable
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.release.manifest import ReleaseCorrupt, verify
from cataract.ops.audit.worker import faults_of
from cataract.ops.backup.services import last_backup
from cataract.ops.installation.services import CURE, LOST, secret_state
from cataract.ops.system import free_bytes, nearest_existing
from cataract.ops.upgrades.services import program_version, unknown_migrations
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import signing, store
from predictions.releases.models import Release
from predictions.releases.services import starter_on_offer
from predictions.replicas import client as replicas
from predictions.retention.models import Deletion
from review.cases.models import ReviewCase
from training.forgetting.worker import remembered
from training.runs.models import TrainingRun
from training.tracking import store as mlflow_store

WAITS_TOO_LONG: Final = timedelta(minutes=5)
SILENT_TOO_LONG: Final = timedelta(seconds=60)
ORPHAN_AGE: Final = timedelta(days=1)
BACKUP_HOURS: Final = 30
LOW_DISK_BYTES: Final = 1_000_000_000
NO_CHAMPION_CURE: Final = "Run `manage.py install_starter`, or promote a release."
Progress = Callable[[str], None]
_AUDITED = 10_000


@dataclass(frozen=True)
class Finding:
    """One thing seen. Only an error makes `doctor` fail; `cure` says what to do about it."""

    level: Literal["ok", "note", "error"]
    check: str
    message: str
    cure: str = ""


def examine(say: Progress) -> Iterator[Finding]:
    """Every check in turn. Without a database that is up to date, only the checks that need none."""
    database = list(check_database())
    yield from database
    yield from check_disk()
    yield from check_modes()
    yield from check_broker()
    yield from check_replicas()
    yield from check_backup()
    if any(finding.level == "error" for finding in database):
        return
    yield from check_secret()
    yield from check_photos(say)
    yield from check_copies()
    yield from check_deletions()
    yield from check_stray_files()
    yield from check_releases(say)
    yield from check_predictions()
    yield from check_training()
    yield from check_mlflow()
    yield from check_audit()


def check_database() -> Iterator[Finding]:
    cure = "Run `make run` or `manage.py setup`."
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Finding("error", "database", f"The database cannot be opened: {error}", cure)
        return
    unknown = unknown_migrations()
    if unknown:
        message = (
            f"A newer version has changed this database: {_some(unknown)} is unknown to version {program_version()}."
        )
        yield Finding("error", "database", message, "Install that version again, or restore an earlier backup.")
    elif plan:
        missing = _some([f"{migration.app_label}.{migration.name}" for migration, _ in plan])
        yield Finding("error", "database", f"Migrations are not applied: {missing}.", cure)
    else:
        yield Finding("ok", "database", "All migrations are applied.")


def check_disk() -> Iterator[Finding]:
    folder = nearest_existing(settings.DATA_DIR)
    free = free_bytes(folder)
    if free < LOW_DISK_BYTES:
        yield Finding("error", "disk", f"Only {free / 1e9:.1f} GB are free at {folder}.", "Free some space.")
    else:
        yield Finding("ok", "disk", f"{free / 1e9:.0f} GB are free.")


def check_modes() -> Iterator[Finding]:
    """Photos, patient keys and password hashes are for no other account of the host."""
    folder = nearest_existing(settings.DATA_DIR)
    if not _is_open(folder):
        yield Finding("ok", "modes", "The data folder is closed to other accounts of this host.")
        return
    inside = [path for path in sorted(folder.iterdir()) if _is_open(path) and not path.is_symlink()]
    if inside:
        named = _some([path.name for path in inside])
        text = f"Other accounts of this host can read in {folder}: {named}."
        yield Finding("error", "modes", text, f"Run `chmod -R go-rwx {folder}`.")
    else:
        yield Finding("ok", "modes", "What lies in the data folder is closed to other accounts of this host.")


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def check_broker() -> Iterator[Finding]:
    cure = "Start the system with `make run`." if settings.EMBEDDED_BROKER else "Look at the server of REDIS_URL."
    try:
        ping(settings.CELERY_BROKER_URL)
    except BrokerUnavailable as error:
        yield Finding("error", "broker", str(error), cure)
        return
    with connect(settings.CELERY_BROKER_URL) as client:
        waiting = {queue: int(str(client.llen(queue))) for queue in ("default", "predict", "train")}
    yield Finding(
        "ok", "broker", "Answers; waiting messages: " + ", ".join(f"{n} {q}" for q, n in waiting.items()) + "."
    )
    if current_app.control.inspect(timeout=3).ping():
        yield Finding("ok", "worker", "A worker answers.")
    else:
        yield Finding("error", "worker", "No worker answers within 3 s.", cure)


def check_replicas() -> Iterator[Finding]:
    """With INFERENCE=ray replicas answer; without them workers do, later."""
    if settings.INFERENCE != "ray":
        return
    if replicas.are_healthy():
        yield Finding("ok", "replicas", f"Ray Serve answers at {settings.RAY_URL}.")
    else:
        message = f"Ray Serve does not answer at {settings.RAY_URL}: workers answer photos, later."
        yield Finding("error", "replicas", message, "Start `manage.py serve`, or set RAY_URL.")


def check_backup() -> Iterator[Finding]:
    """A backup is made each night, if anybody said where."""
    last = last_backup()
    if last is None:
        level: Literal["note", "error"] = "error" if settings.BACKUP_REPOSITORY else "note"
        yield Finding(
            level, "backup", "There is no backup.", "Set BACKUP_REPOSITORY, or run `manage.py backup FOLDER`."
        )
    elif settings.BACKUP_REPOSITORY and last.age_hours > BACKUP_HOURS:
        message = f"The last backup is {last.age_hours:.0f} hours old."
        yield Finding("error", "backup", message, "Look for back_up_nightly in the worker's log.")
    else:
        yield Finding("ok", "backup", f"The last backup, {last.snapshot}, is {last.age_hours:.0f} hours old.")


def check_secret() -> Iterator[Finding]:
    """The secret key is the one with which this installation works."""
    if secret_state() == "lost":
        yield Finding("error", "secret", LOST, CURE)
    else:
        yield Finding("ok", "secret", "The secret key is the one with which this installation works.")


def check_photos(say: Progress) -> Iterator[Finding]:
    """Every row has an intact file: without it the photo is lost."""
    stored = EyeImage.objects.in_status(EyeImage.Status.KEPT, EyeImage.Status.TRASHED)
    total, bad = stored.count(), 0
    rows = stored.order_by("pk").values_list("pk", "stored_name", "stored_sha256")
    for number, (pk, name, sha256) in enumerate(rows.iterator(chunk_size=500), start=1):
        if number % 200 == 0:
            say(f"photos: {number} of {total} read")
        problem = _file_problem(name, sha256)
        if problem:
            bad += 1
            yield Finding("error", "photos", f"EyeImage {pk}: {name} {problem}.", "Restore this file from a backup.")
    if not bad:
        yield Finding("ok", "photos", f"{total} photos are intact.")


def _file_problem(name: str, sha256: str) -> str:
    try:
        found = hashlib.sha256(storage.read(name)).hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror or 'missing'})"
    except StorageUnavailable as error:
        return f"cannot be read ({error})"
    return "" if found == sha256 else "has changed since it was stored"


def check_copies() -> Iterator[Finding]:
    """Every photo that is not new has been compared with the others: until then it is in no dataset."""
    late = timezone.now() - WAITS_TOO_LONG
    waiting = EyeImage.objects.waiting_for_comparison().filter(created_at__lt=late).count()
    if waiting:
        yield Finding("note", "copies", f"{waiting} photos are yet to be compared with the others; a worker does it.")
    else:
        yield Finding("ok", "copies", "Copies of all photos have been looked for.")


def check_deletions() -> Iterator[Finding]:
    """Of a purged photo nothing is left on disk, searched by the hash of its file, and purges do not stand still."""
    purged = EyeImage.objects.in_status(EyeImage.Status.PURGED)
    needed = set(EyeImage.objects.exclude(status=EyeImage.Status.PURGED).values_list("stored_sha256", flat=True))
    gone = set(purged.values_list("stored_sha256", flat=True)) - needed
    left = [name for name in storage.all_names() if _stem(name).rpartition("/")[2] in gone] if gone else []
    if left:
        message = f"{len(left)} files of purged photos are still there: {_some(left)}."
        yield Finding("error", "deletions", message, "Delete these files.")
    an_hour_ago = timezone.now() - timedelta(hours=1)
    old = purged.filter(removed_at__lt=an_hour_ago)
    kept_again = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).values_list("sha256", flat=True)
    cached = set(old.values_list("sha256", flat=True)) & remembered() - set(kept_again)
    if cached:
        message = f"The caches of training still hold {len(cached)} purged photos: {_some(sorted(cached))}."
        yield Finding("error", "deletions", message, "Run `manage.py purge`.")
    stuck = Deletion.objects.filter(status=Deletion.Status.PURGING, images__removed_at__lt=an_hour_ago).distinct()
    if stuck:
        message = f"{len(stuck)} purges have not ended: {_some([str(row.pk) for row in stuck])}."
        yield Finding("error", "deletions", message, "Run `manage.py purge`.")
    if not (left or cached or stuck):
        yield Finding("ok", "deletions", f"Of {purged.count()} purged photos no file is left.")


def check_stray_files() -> Iterator[Finding]:
    """Files that no row names are left over from interrupted uploads; recent ones may belong to a running upload."""
    names = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).values_list("stored_name", flat=True)
    known = {name.partition(".")[0] for name in names.iterator(chunk_size=2000)}
    stray = [name for name in storage.all_names() if _stem(name) not in known and _is_old(name)]
    if stray:
        message = f"{len(stray)} files in {storage.place()} belong to no photo and may be deleted: {_some(stray)}."
        yield Finding("note", "files", message)


def _is_old(name: str) -> bool:
    """Also False for a temporary file of an upload that ended since the names were listed."""
    try:
        return storage.seconds_since_change(name) > ORPHAN_AGE.total_seconds()
    except FileNotFoundError:
        return False


def _stem(name: str) -> str:
    """The name of the photo that a stored file belongs to, without its suffix; derivatives included."""
    if name.startswith("derived/"):
        return name.removeprefix("derived/").rpartition("-")[0]
    return name.partition(".")[0]


def check_releases(say: Progress) -> Iterator[Finding]:
    """Verify every release that is not rejected, and the champion's golden predictions. Only its damage is an error."""
    for release in Release.objects.exclude(status=Release.Status.REJECTED):
        say(f"releases: {release.pk}")
        folder = store.folder_of(release)
        try:
            verify(folder, sha256=release.manifest_sha256)
            signing.check(folder)
            if release.status == Release.Status.CHAMPION:
                providers = tuple(settings.INFERENCE_PROVIDERS)
                Cascade.load(folder, providers=providers, threads=settings.INFERENCE_THREADS).check_golden()
        except ReleaseCorrupt as error:
            level: Literal["error", "note"] = "error" if release.status == Release.Status.CHAMPION else "note"
            yield Finding(
                level, "releases", f"{release.pk}: {error}", "Restore its folder, or promote another release."
            )
            continue
        if release.status == Release.Status.CHAMPION:
            yield Finding("ok", "releases", f"The champion {release.pk} is intact and gives its golden predictions.")
    if starter := starter_on_offer():
        message = f"This version ships the release {starter}, which this installation does not have."
        yield Finding("note", "releases", message, "Compare it: `manage.py install_starter --challenger`.")
    if not Release.objects.champions().exists():
        yield Finding("error", "releases", "There is no champion: every photo waits for a clinician.", NO_CHAMPION_CURE)


def check_predictions() -> Iterator[Finding]:
    """Predictions that wait too long, have failed, or need review without a case."""
    now = timezone.now()
    predictions = Prediction.objects.of_kept_photos()
    queued = predictions.filter(status=Prediction.Status.QUEUED)
    late = _ids(queued.filter(created_at__lt=now - WAITS_TOO_LONG))
    if late:
        message = f"{len(late)} predictions have waited over five minutes for an answer: {_some(late)}."
        yield Finding("error", "predictions", message, "Is a worker running?")
    failed = _ids(predictions.filter(status=Prediction.Status.FAILED))
    if failed:
        message = f"{len(failed)} predictions have failed: {_some(failed)}."
        yield Finding("error", "predictions", message, "Read their errors in the admin and ask again.")
    unseen = _ids(
        predictions.in_use().filter(
            status=Prediction.Status.DONE, needs_review=True, review_case__isnull=True, done_at__lt=now - WAITS_TOO_LONG
        )
    )
    if unseen:
        message = f"{len(unseen)} predictions need a clinician and have no review case: {_some(unseen)}."
        yield Finding("error", "review", message, "Is a worker with beat running?")
    if not (late or failed or unseen):
        waiting = ReviewCase.objects.of_photos_in_use().filter(status__in=ReviewCase.OPEN).count()
        yield Finding("ok", "predictions", f"{queued.count()} wait for the model, {waiting} for a clinician.")


def _ids(predictions: QuerySet[Prediction]) -> list[str]:
    return [str(pk) for pk in predictions.order_by("created_at").values_list("pk", flat=True)]


def check_training() -> Iterator[Finding]:
    """Running runs send heartbeats and queued runs start soon; an interrupted run is only a note."""
    silent = TrainingRun.objects.filter(
        status=TrainingRun.Status.RUNNING, heartbeat_at__lt=timezone.now() - SILENT_TOO_LONG
    )
    for run in silent:
        yield Finding(
            "error",
            "training",
            f"Run {run.pk} has been silent since {run.heartbeat_at:%H:%M:%S}.",
            "Restart the worker.",
        )
    waiting = TrainingRun.objects.filter(
        status=TrainingRun.Status.QUEUED, created_at__lt=timezone.now() - WAITS_TOO_LONG
    )
    for run in waiting:
        message = f"Run {run.pk} has waited over five minutes."
        yield Finding("error", "training", message, "Is a worker for `train` running?")
    interrupted = TrainingRun.objects.filter(status=TrainingRun.Status.INTERRUPTED).count()
    if interrupted:
        yield Finding("note", "training", f"{interrupted} training runs were interrupted.")


def check_mlflow() -> Iterator[Finding]:
    """The embedded record of trainings can be opened by the installed MLflow."""
    path = mlflow_store.store_path()
    if path is None:
        return
    try:
        found = mlflow_store.schema_of(path)
        if found in ("", mlflow_store.wanted_schema()):
            yield Finding("ok", "mlflow", "The record of trainings has the tables of the installed MLflow.")
            return
        mlflow_store.require_known(found)
    except mlflow_store.StoreIsNewer as error:
        yield Finding("error", "mlflow", str(error))
    except sqlite3.DatabaseError as error:
        yield Finding("error", "mlflow", f"mlflow.db cannot be read: {error}", "Restore it: `manage.py restore`.")
    else:
        yield Finding("note", "mlflow", "MLflow's tables are of an earlier version.", "The next start changes them.")


def check_audit() -> Iterator[Finding]:
    """The triggers that keep the record, and the newest part of the audit log with its heads; all of it each night."""
    faults = list(faults_of(newest=_AUDITED))
    cure = "Run `manage.py audit_verify`, keep the database as it is, and tell your security officer."
    for fault in faults[:5]:
        yield Finding("error", "audit", fault, cure)
    if not faults:
        yield Finding(
            "ok", "audit", f"The record is kept, and the newest {_AUDITED:,} entries of the audit log are whole."
        )


def _some(names: list[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
