"""Error pages: unread bodies, a busy database, a full disk."""

import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.defaults import bad_request as plain_bad_request
from django.views.defaults import page_not_found as plain_not_found
from django.views.defaults import server_error as defect

from cataract.core.errors import DecodersBusy, DomainError, RequestRefused, StorageFull, of_database
from cataract.core.http.problems import CONTENT_TYPE, problem_body


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: 503 when the database or the disk could not take a write, 500 for a bug."""
    error = sys.exception()
    if isinstance(error, OperationalError):
        return answer(request, of_database(error))
    if isinstance(error, StorageFull | DecodersBusy):
        return answer(request, error)
    if _is_api(request):
        detail = "Something went wrong on our side. Everything confirmed with 201 or 202 is stored."
        return JsonResponse(problem_body(500, "server_error", detail), status=500, content_type=CONTENT_TYPE)
    return defect(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a problem document for programs."""
    if _is_api(request):
        return answer(request, RequestRefused("bad_request", 400, "Malformed request."))
    return plain_bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: a problem document for programs, also for unknown addresses below /api/."""
    if _is_api(request):
        text = "Not found, or not visible to you."
        return answer(request, RequestRefused("not_found", 404, text))
    return plain_not_found(request, exception)


def answer(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    """A refusal without a view: a problem document for programs, a short page for people."""
    if _is_api(request):
        body = problem_body(refusal.status, refusal.code, refusal.message, field=refusal.field)
        response: HttpResponse = JsonResponse(body, status=refusal.status, content_type=CONTENT_TYPE)
    else:
        response = render(request, "refused.html", {"refusal": refusal}, status=refusal.status)
    if refusal.retry_after is not None:
        response["Retry-After"] = str(refusal.retry_after)
    return response


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
