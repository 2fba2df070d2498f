"""Writes of the last third of the loop: start, cancel and resume a run; compare, promote and roll back a release."""

from cataract.core.errors import DomainError


class WrongStatus(DomainError):
    code, status = "wrong_status", 409
