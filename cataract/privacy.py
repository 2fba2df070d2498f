"""What a shared computer must not keep of this site."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def leave_nothing_behind(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """No answer is stored by the browser unless its view says otherwise; logging out clears what it stored.

    So that the back button shows the login page to whoever sits down next (OWASP ASVS 5.0, 14.3.1 and 14.3.2).
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.resolver_match is not None and request.resolver_match.url_name == "logout":
            response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response

    return middleware
