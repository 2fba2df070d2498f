"""Delete what earlier trainings cached of photos that may not train any more: withdrawn, deleted or purged.

It compares the caches with the rows as they are now, so it can run at any time, and what a training that was already
running caches again is deleted by the next run. Releases are never rewritten, and of MLflow only the lists of the
photos that a run learnt from: neither holds a photo or an embedding of one (docs/privacy.md).
"""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from django.db.models import Count, F, Q

from cataract.ml.learn.checkpoint import load_arrays, save_arrays
from predictions.photos.models import EyeImage
from training.datasets.models import DatasetItem
from training.datasets.vectors import vector_cache
from training.runs.attempt_folder import checkpoints_of
from training.runs.models import TrainingRun
from training.tracking.dataset_rows import forget_rows

log = logging.getLogger(__name__)

_CHUNK = 500


def forget() -> int:
    """Delete the cached embeddings, hashes and scores of photos that may not train; return of how many photos."""
    forgotten: set[str] = set()
    for path in _caches():
        gone = set(_sha256s(path)) - _trainable(_sha256s(path))
        if gone:
            _drop(path, gone)
        forgotten |= gone
    for run in TrainingRun.objects.in_status(TrainingRun.Status.INTERRUPTED):
        if _holds_gone(run):
            for folder in checkpoints_of(run):
                shutil.rmtree(folder, ignore_errors=True)
    _forget_in_mlflow()
    if forgotten:
        log.info("The caches of training have forgotten %d photos", len(forgotten))
    return len(forgotten)


def _forget_in_mlflow() -> None:
    """Leave the photos that may not train out of the lists in MLflow, each time more of them may not.

    A run that MLflow refuses does not hold up the others; it is asked again by the next call.
    """
    may_train = Q(dataset__items__image__status=EyeImage.Status.KEPT, dataset__items__image__may_train=True)
    gone = Count("dataset__items") - Count("dataset__items", filter=may_train)
    runs = TrainingRun.objects.exclude(mlflow_run_id="").annotate(gone=gone).exclude(gone=F("photos_left_out"))
    for run, mlflow_run, left_out in runs.values_list("pk", "mlflow_run_id", "gone"):
        try:
            forget_rows(mlflow_run, _trainable)
        except Exception as error:
            log.warning("MLflow does not mend the photo list of training run %s; later again: %s", run, error)
        else:
            TrainingRun.objects.filter(pk=run).update(photos_left_out=left_out)


def remembered() -> set[str]:
    """The sha256 of every photo that the caches of training hold something of."""
    return {sha256 for path in _caches() for sha256 in _sha256s(path)}


def _caches() -> list[Path]:
    """The files with embeddings, and with scores of the accurate model."""
    return [vector_cache(), *(vector_cache().with_name(name) for name in ("scores.npz", "copies.npz"))]


def _sha256s(path: Path) -> list[str]:
    arrays = load_arrays(path)
    return [] if arrays is None else [str(sha256) for sha256 in arrays["sha256s"].tolist()]


def _trainable(sha256s: list[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(sha256s), _CHUNK):
        rows = EyeImage.objects.kept().filter(may_train=True, sha256__in=sha256s[start : start + _CHUNK])
        found.update(rows.values_list("sha256", flat=True))
    return found


def _drop(path: Path, gone: Iterable[str]) -> None:
    """Write the file without these photos: every array with one row a photo loses theirs."""
    arrays = load_arrays(path)
    if arrays is None:
        return
    keep = ~np.isin(arrays["sha256s"], list(gone))
    if not keep.any():
        path.unlink(missing_ok=True)
        return
    save_arrays(
        path, {name: values[keep] if values.shape[:1] == keep.shape else values for name, values in arrays.items()}
    )


def _holds_gone(run: TrainingRun) -> bool:
    """Whether the dataset of this run holds a photo that may not train any more."""
    items = DatasetItem.objects.filter(dataset=run.dataset_id)
    return items.exclude(image__status=EyeImage.Status.KEPT, image__may_train=True).exists()
