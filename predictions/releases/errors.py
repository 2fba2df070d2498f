"""Refusals about releases."""

from cataract.core.errors import DomainError


class PromotionConflict(DomainError):
    code = "promotion_conflict"
    status = 409


class AlreadyInstalled(DomainError):
    code = "already_installed"
    status = 409
