"""A form that was sent after its session had ended: kept until its sender has signed in again and sends it again."""

from django.contrib.auth.models import User
from django.http import HttpRequest, QueryDict

_KEY = "kept_form"
_MOST_BYTES = 64_000


def keep(request: HttpRequest, *, user: User) -> bool:
    """Keep the form that `user` sent in the session of nobody that follows theirs; returns whether that was possible.

    Not one with a file, with a password or of more than 64 kB.
    """
    if not 0 < int(request.headers.get("Content-Length") or 0) <= _MOST_BYTES or request.FILES:
        return False
    fields = request.POST.copy()
    fields.pop("csrfmiddlewaretoken", None)
    if not fields or any("password" in name for name in fields):
        return False
    request.session[_KEY] = {"user": user.pk, "path": request.get_full_path(), "form": fields.urlencode()}
    return True


def kept_form(request: HttpRequest) -> tuple[str, list[tuple[str, str]]] | None:
    """Where the kept form of the signed-in user is sent to, and its fields."""
    kept = request.session.get(_KEY)
    if kept is None or kept["user"] != request.user.pk:
        return None
    fields = QueryDict(kept["form"])
    return kept["path"], [(name, value) for name, values in fields.lists() for value in values]


def forget(request: HttpRequest) -> None:
    request.session.pop(_KEY, None)
