"""Requests below SUB_PATH, as they come from proxies that remove the path and from those that leave it."""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def below_sub_path(application: Wsgi) -> Wsgi:
    """The application, which is handed each path without SUB_PATH at its beginning."""

    def stripped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, prefix = environ.get("PATH_INFO", ""), settings.SUB_PATH
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        return application(environ, start_response)

    return stripped
