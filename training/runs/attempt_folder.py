"""The folder in which one attempt of a run works, beside the releases and never mistaken for one.

A killed attempt leaves its folder. The next attempt takes it over by renaming it: a worker wrongly presumed dead has
nothing left to write into.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from training.runs.models import TrainingRun
from training.tracking import spool

RELEASE, CHECKPOINT = "release", "checkpoint"
# A run in one of these states may still resume from its folder.
_RESUMABLE = (TrainingRun.Status.QUEUED, TrainingRun.Status.RUNNING, TrainingRun.Status.INTERRUPTED)


@contextmanager
def attempt_folder(run: TrainingRun) -> Iterator[Path]:
    """This attempt's folder, with what earlier attempts finished; removed afterwards unless the process is killed.

    It holds an empty (or finished) `RELEASE` and, when a build saved one, a `CHECKPOINT`.
    """
    own = _folder(f"{run.pk}.{run.attempts}")
    earlier = [folder for folder in _folders(str(run.pk)) if (folder / RELEASE).is_dir()]
    if earlier:
        earlier[-1].rename(own)
    own.mkdir(parents=True, exist_ok=True)
    for unfinished in own.glob(f".{RELEASE}.*"):  # a build writes beside RELEASE, and renames at the end
        shutil.rmtree(unfinished, ignore_errors=True)
    (own / RELEASE).mkdir(exist_ok=True)
    try:
        yield own
    except Exception:
        shutil.rmtree(own, ignore_errors=True)
        raise
    shutil.rmtree(own, ignore_errors=True)  # but not after SystemExit and the like: the run will be resumed


def remove_leftovers() -> None:
    """Remove what ended runs left: attempt folders, and files that MLflow has or will never get."""
    resumable = {str(pk) for pk in TrainingRun.objects.in_status(*_RESUMABLE).values_list("pk", flat=True)}
    for folder in _folders("*"):
        if folder.name.removeprefix(".building-").split(".")[0] not in resumable:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in spool.run_folder("*").parent.glob("*-files"):
        if folder.name.removesuffix("-files") not in resumable | set(spool.waiting()):
            shutil.rmtree(folder, ignore_errors=True)


def checkpoints_of(run: TrainingRun) -> list[Path]:
    """The checkpoints that earlier attempts of a run left. Without them the next attempt starts from the beginning."""
    return [folder / CHECKPOINT for folder in _folders(str(run.pk))]


def _folder(name: str) -> Path:
    return Path(settings.RELEASE_DIR) / f".building-{name}"


def _folders(run_id: str) -> list[Path]:
    return sorted(_folder("").parent.glob(f".building-{run_id}.*"), key=lambda folder: int(folder.suffix[1:] or 0))
