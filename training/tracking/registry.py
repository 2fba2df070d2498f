"""The model registry: one registered model; each release a version with its run, its tags and its history; two aliases.

What the database says is written again where MLflow says something else, also where a person deleted it there.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlparse

from training.tracking.mlflow_client import MODEL, connect, experiment, find_run, log_batch, restore_run
from training.tracking.model_folder import write_model_folder

FOLDER = "model"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the registry should say of one release.

    run: id of the MLflow run that trained it; "" for one that was not trained here: it gets a run of its own.
    tags: of its version and of its run; where they differ, the rest is asked for and logged again. metrics: of a run
    of its own. series: metrics of its comparisons, as `log_batch` takes them. history: its comparisons and promotions.
    """

    release: str
    folder: Path
    run: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Callable[[], Mapping[str, float]] = dict
    series: Callable[[], Sequence[tuple[str, float, int, int]]] = tuple
    history: Callable[[], Sequence[Mapping[str, Any]]] = tuple


@dataclass(frozen=True)
class Registered:
    """Where MLflow has a release."""

    release: str
    version: str
    run: str
    experiment: str


def reconcile(records: Sequence[Record], aliases: Mapping[str, str]) -> list[Registered]:
    """Make versions, tags, runs and aliases what `records` and `aliases` say; both name releases.

    aliases: {alias: release}, "" removes one; an alias that is not named stays. Raises what MLflow raises.
    """
    client = connect()
    experiment(client)
    _make_registered_model(client)
    known = _versions(client)
    found = [
        _bring_up_to_date(client, record, known.get(record.release), check_run=record.release in aliases.values())
        for record in records
    ]
    _set_aliases(client, aliases, {one.release: one.version for one in found})
    return found


def log_model(client: Any, run: str, release: Path) -> bool:
    """Log the release in `release` as the model of a run; False (logged) where the folder is gone."""
    if not release.is_dir():
        _log.warning("Release %s has no folder any more: MLflow gets no model of it.", release.name)
        return False
    uri = urlparse(client.get_run(run).info.artifact_uri)
    if uri.scheme == "file":  # on this machine: written in place, and files shared with the release folder
        target = Path(unquote(uri.path)) / FOLDER
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{FOLDER}")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_model_folder(unfinished, release)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        return True
    with TemporaryDirectory() as place:
        write_model_folder(Path(place) / FOLDER, release)
        client.log_artifacts(run, str(Path(place) / FOLDER), FOLDER)
    return True


def version_with_run(client: Any, release: str, run: str) -> str:
    """The version of the registered model for this release, made from the model of `run` when there is none."""
    _make_registered_model(client)
    known = _versions(client).get(release)
    return str((known or _make_version(client, release, run)).version)


def _make_registered_model(client: Any) -> None:
    if not client.search_registered_models(f"name='{MODEL}'"):
        client.create_registered_model(MODEL, description="The cascade: encoder, fast and accurate model, policy.")


def _versions(client: Any) -> dict[str, Any]:
    """The newest version of each release that has a run and a model."""
    found: dict[str, Any] = {}
    token = None
    while True:
        page = client.search_model_versions(f"name='{MODEL}'", page_token=token)
        for version in page:
            release = version.tags.get("release")
            is_whole = bool(version.run_id) and str(version.source).endswith(f"/{FOLDER}")
            if release and is_whole and (release not in found or int(version.version) > int(found[release].version)):
                found[release] = version
        token = page.token
        if not token:
            return found


def _bring_up_to_date(client: Any, record: Record, version: Any, *, check_run: bool) -> Registered:
    run = find_run(client, version.run_id) if version is not None and check_run else None
    if run is not None:
        restore_run(client, run)
    elif version is None or check_run:
        run = _run_of(client, record)
        version = _make_version(client, record.release, run.info.run_id)
    changed = {name: value for name, value in record.tags.items() if version.tags.get(name, "") != value}
    if changed:
        run = run or find_run(client, version.run_id)
        if run is not None:
            restore_run(client, run)
            tags = {**record.tags, "release": record.release, "model_version": str(version.version)}
            log_batch(client, run.info.run_id, series=record.series(), tags=tags)
            client.log_dict(run.info.run_id, {"history": list(record.history())}, "history.json")
        for name, value in changed.items():  # last: what fails above is then done again
            client.set_model_version_tag(MODEL, str(version.version), name, value)
    experiment_id = run.info.experiment_id if run is not None else ""
    return Registered(record.release, str(version.version), str(version.run_id), str(experiment_id))


def _run_of(client: Any, record: Record) -> Any:
    """The run of a release, with its model: the one that trained it, else one of its own."""
    run = find_run(client, record.run)
    if run is None:
        place = experiment(client)
        own = client.search_runs([place], f"tags.release = '{record.release}' and tags.kind = 'release'")
        run = own[0] if own else _make_run(client, place, record)
    restore_run(client, run)
    if not any(file.path == f"{FOLDER}/MLmodel" for file in client.list_artifacts(run.info.run_id, FOLDER)):
        log_model(client, run.info.run_id, record.folder)
    return run


def _make_run(client: Any, place: str, record: Record) -> Any:
    """A run for a release that was not trained here, such as the starter."""
    tags = {"release": record.release, "kind": "release"}
    run = client.create_run(place, run_name=f"release {record.release}", tags=tags)
    log_batch(client, run.info.run_id, metrics=record.metrics())
    client.set_terminated(run.info.run_id)
    return run


def _make_version(client: Any, release: str, run: str) -> Any:
    source = f"{client.get_run(run).info.artifact_uri}/{FOLDER}"
    return client.create_model_version(
        MODEL, source, run_id=run, tags={"release": release}, description=f"Release {release}"
    )


def _set_aliases(client: Any, aliases: Mapping[str, str], version_of: Mapping[str, str]) -> None:
    known = client.get_registered_model(MODEL).aliases
    for alias, release in aliases.items():
        version = version_of.get(release)
        if version is not None and str(known.get(alias)) != version:
            client.set_registered_model_alias(MODEL, alias, version)
        if version is None and alias in known:
            client.delete_registered_model_alias(MODEL, alias)
