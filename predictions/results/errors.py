"""Errors of this room."""

from cataract.core.errors import DomainError


class NoExplanation(DomainError):
    """There is no heat map for this prediction."""

    code = "no_explanation"
    status = 409
