"""The folder in which one attempt of a run works, beside the releases and never mistaken for one.

A killed attempt leaves its folder; the next one takes it over by renaming it, so that a worker that was only taken for
dead finds nothing to write into.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from training.runs.models import TrainingRun
from training.tracking import spool

RELEASE, CHECKPOINT = "release", "checkpoint"
# In these states a run may still go on from what it left.
_ALIVE = (TrainingRun.Status.QUEUED, TrainingRun.Status.RUNNING, TrainingRun.Status.INTERRUPTED)


@contextmanager
def of(run: TrainingRun) -> Iterator[Path]:
    """This attempt's folder, with what the attempts before finished; gone afterwards, unless the process was killed.

    In it an empty (or finished) `RELEASE` and, when a build kept something, `CHECKPOINT`.
    """
    mine = _folder(f"{run.pk}.{run.attempts}")
    earlier = [folder for folder in _folders(str(run.pk)) if (folder / RELEASE).is_dir()]
    if earlier:
        earlier[-1].rename(mine)
    mine.mkdir(parents=True, exist_ok=True)
    for rubbish in mine.glob(f".{RELEASE}.*"):  # a build writes beside its place, and moves there at the end
        shutil.rmtree(rubbish, ignore_errors=True)
    (mine / RELEASE).mkdir(exist_ok=True)
    try:
        yield mine
    except Exception:
        shutil.rmtree(mine, ignore_errors=True)
        raise
    shutil.rmtree(mine, ignore_errors=True)  # but not after SystemExit and its like: the run is to be resumed


def sweep() -> None:
    """Remove what ended runs left: work folders, and charts that MLflow has or will never get."""
    alive = {str(pk) for pk in TrainingRun.objects.in_status(*_ALIVE).values_list("pk", flat=True)}
    for folder in _folders("*"):
        if folder.name.removeprefix(".building-").split(".")[0] not in alive:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in spool.charts_folder("*").parent.glob("*-charts"):
        if folder.name.removesuffix("-charts") not in alive | set(spool.waiting()):
            shutil.rmtree(folder, ignore_errors=True)


def _folder(name: str) -> Path:
    return Path(settings.RELEASE_DIR) / f".building-{name}"


def _folders(run_id: str) -> list[Path]:
    return sorted(_folder("").parent.glob(f".building-{run_id}.*"), key=lambda folder: int(folder.suffix[1:] or 0))
