"""Refusals: each has a code for programs, an HTTP status and a sentence for people."""

from typing import ClassVar

from django.db import OperationalError

ADD_TRAINING_SET = "Add the training set with `make install` (without LIGHT=1)"  # what helps a light installation


class DomainError(Exception):
    """A refusal that a person or program can act on. Nothing was changed."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    field: ClassVar[str] = ""
    retry_after: ClassVar[int | None] = None
    existing: str = ""  # the id of the row that already holds what was sent

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class QueueFull(DomainError):
    code = "queue_full"
    status = 503
    retry_after = 60

    def __init__(self) -> None:
        super().__init__("Too many photos are waiting. The photo was not saved. Send it again in a minute.")


class DecodersBusy(DomainError):
    code = "decoders_busy"
    status = 503
    retry_after = 10

    def __init__(self) -> None:
        super().__init__("Too many photos are being read. The photo was not saved. Send it again in a few seconds.")


class StorageFull(DomainError):
    code = "storage_full"
    status = 503
    retry_after = 300

    def __init__(self) -> None:
        super().__init__("The photo was not saved: the storage is full or cannot be written. Tell an administrator.")


class StorageUnavailable(StorageFull):
    code = "storage_unavailable"
    retry_after = 30

    def __init__(self) -> None:
        DomainError.__init__(self, "The store of photos does not answer. Nothing was saved. Try again in a minute.")


class DatabaseBusy(DomainError):
    code = "database_busy"
    status = 503
    retry_after = 5

    def __init__(self) -> None:
        super().__init__(
            "The system is busy and did not answer in time. Try again in a few seconds; nothing is stored twice."
        )


def of_database(error: OperationalError) -> DomainError:
    """Translate a database error for the caller: StorageFull when there is no room to write, else DatabaseBusy."""
    return StorageFull() if any(words in str(error).lower() for words in _NO_ROOM) else DatabaseBusy()


_NO_ROOM = ("is full", "no space left", "disk i/o error", "readonly database", "could not extend file")


class RequestRefused(DomainError):
    """A request refused before its content is examined."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status  # type: ignore[misc]  # one class, a few codes


class WrongStatus(DomainError):
    """The row's status does not allow this action."""

    code = "wrong_status"
    status = 409


class TooMuch(DomainError):
    """A caller has sent too much in a minute, an hour or a day; `retry_after`: seconds until the next one begins."""

    code = "throttled"
    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # type: ignore[misc]


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"
    status = 422
    field = "Idempotency-Key"

    def __init__(
        self, message: str = "This Idempotency-Key was used with another request. Use a new key for a new request."
    ) -> None:
        super().__init__(message)


class RequestRunning(DomainError):
    """The first request with this Idempotency-Key is still running."""

    code = "request_running"
    status = 409
    field = "Idempotency-Key"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key is still running. Try again in a second.")


class BadField(DomainError):
    """A field of the request has an unacceptable value."""

    code = "invalid"
    status = 422

    def __init__(self, field: str, message: str, *, code: str = "invalid", status: int = 422) -> None:
        super().__init__(message)
        self.field = field  # type: ignore[misc]
        self.code = code  # type: ignore[misc]
        self.status = status  # type: ignore[misc]
