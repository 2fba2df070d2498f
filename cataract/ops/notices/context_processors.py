"""The number of notices that an admin has not seen, for the navigation of every page."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from cataract.ops.notices.models import Notice


def notices(request: HttpRequest) -> dict[str, Callable[[], Any]]:
    """`unseen_notices`: asked for by a template only, so it costs no query elsewhere."""

    def unseen() -> int:
        user = getattr(request, "user", None)
        return Notice.objects.unseen_by(user).count() if isinstance(user, User) else 0

    return {"unseen_notices": unseen}
