"""Whatever sets a password ends what was open under the old one: Django tells password validators of each change."""

from django.contrib.auth.models import User

from cataract.accounts import services


class EndsAccess:
    """No rule for passwords: a password that was set by a command, or in code, ends the sessions and keys of its user.

    Where people change their own (`services.change_password`) they are asked about their keys, and their session stays.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Every password will do."""

    def get_help_text(self) -> str:
        return "Other sessions end when it is changed."

    def password_changed(self, password: str, user: User) -> None:
        if not vars(user).pop(services.KEEPS_ACCESS, False):
            services.end_sessions(user=user)
            services.revoke_keys(user=user)
