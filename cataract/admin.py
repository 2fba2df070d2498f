"""Where Django finds the admin pages of this package."""

from cataract.accounts import admin as accounts

__all__ = ["accounts"]
