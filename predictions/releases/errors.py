"""Refusals about releases."""

from collections.abc import Iterator
from contextlib import contextmanager

from cataract.core.errors import DomainError
from cataract.ml.release.manifest import ReleaseCorrupt


class PromotionConflict(DomainError):
    code = "promotion_conflict"
    status = 409


class RejectionRefused(DomainError):
    """The release cannot be rejected; the message says why."""

    code = "rejection_refused"
    status = 409


class AlreadyInstalled(DomainError):
    code = "already_installed"
    status = 409


class DamagedRelease(DomainError):
    """The files of a release are not intact: it may not serve. The message says what to restore."""

    code = "release_damaged"
    status = 422


@contextmanager
def refuse_damage() -> Iterator[None]:
    """Where a release is verified for a person: raises DamagedRelease for the library's ReleaseCorrupt."""
    try:
        yield
    except ReleaseCorrupt as error:
        raise DamagedRelease(str(error)) from error
