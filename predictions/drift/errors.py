"""Refusals of drift."""

from cataract.core.errors import DomainError


class ReasonMissing(DomainError):
    code = "reason_missing"
    status = 422

    def __init__(self) -> None:
        super().__init__("Say why: nothing was changed.")


class SegmentChanged(DomainError):
    code = "changed_meanwhile"
    status = 409

    def __init__(self) -> None:
        super().__init__("Photos were counted meanwhile: look again.")
