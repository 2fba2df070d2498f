"""Named points at which a test kills the process, as a power cut would. Inert unless FAULT_INJECTION is on."""

import os
import signal

from django.conf import settings

# The points of an upload. Others: `training.trial`, `training.epoch`, `release.copied`, `look_back.in_transaction`,
# `look_back.after_commit`.
POINTS = (
    "upload.mid_write",
    "upload.after_fsync",
    "upload.after_rename",
    "upload.in_transaction",
    "upload.after_commit",
    "predict.running",
    "predict.in_transaction",
    "predict.answered",
)
# The points of a purge, in order.
PURGE_POINTS = (
    "purge.marked",
    "purge.file_erased",
    "purge.files_erased",
    "purge.in_transaction",
    "purge.photo_purged",
)


def hit(name: str, about: object = "") -> None:
    """Die here, without `finally` and `atexit`, when the environment's FAILPOINT names this point.

    FAILPOINT is `<point>`, or `<point>:<about>` to die only for that one row or item.
    """
    if settings.FAULT_INJECTION and os.environ.get("FAILPOINT") in (name, f"{name}:{about}"):
        os.kill(os.getpid(), signal.SIGKILL)
