"""Whether a request wants a whole page or the part of it that htmx swaps."""

from django.http import HttpRequest


def is_htmx(request: HttpRequest) -> bool:
    """Whether htmx sent this request and swaps the answer into the page."""
    return bool(request.htmx)  # type: ignore[attr-defined]
