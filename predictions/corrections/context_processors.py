"""What the navigation of every page needs of this room."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from predictions.photos.models import WrongPatientCheck


def open_checks(request: HttpRequest) -> dict[str, Callable[[], Any]]:
    """`count_open_checks`: how many near-copies under two patients this user can check; read only where it is shown."""

    def count() -> int:
        return WrongPatientCheck.objects.visible_to(request.user).open().count()

    return {"count_open_checks": count}
