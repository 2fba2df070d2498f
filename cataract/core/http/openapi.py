"""Add the refusals common to all calls to the OpenAPI document (a drf-spectacular postprocessing hook)."""

from typing import Any

from cataract.core.http.problems import CONTENT_TYPE

_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
_TITLES = {
    400: "The request cannot be parsed.",
    401: "No key, or one that is unknown, expired or revoked.",
    403: "The caller may not do this.",
    404: "Not found, or not visible to the caller.",
    405: "This address does not accept the method.",
    406: "None of the accepted media types is available.",
    411: "The request has no Content-Length (`length_required`).",
    413: "The request is too large (`request_too_large`).",
    415: "The body is of another media type, or compressed (`content_encoding`).",
    422: "A value is not accepted; `field` and `errors` say which.",
    429: "Too many requests; `Retry-After` says when to ask again.",
    503: "Try again later: `database_busy`, `decoders_busy`, `queue_full`, `storage_full` or `storage_unavailable`. "
    "`Retry-After` says when.",
}
_ALWAYS = (405, 406)
_OF_CALLERS = (400, 401, 403, 429, 503)
_OF_BODIES = (400, 411, 413, 415, 422)


def declare_refusals(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add to each operation the refusals that it may answer with and that its view does not declare itself."""
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status in _statuses(path, method, operation):
                problem = {"description": _TITLES[status], "content": {CONTENT_TYPE: _PROBLEM}}
                declared = operation["responses"].setdefault(str(status), problem)
                declared["description"] = declared.get("description") or _TITLES[status]
    return result


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    found = [*_ALWAYS]
    if operation.get("security"):
        found += _OF_CALLERS
    if method in ("post", "put", "patch"):
        found += _OF_BODIES
    if "{" in path or any(parameter["name"] == "cursor" for parameter in operation.get("parameters", [])):
        found.append(404)
    if operation.get("parameters"):
        found.append(422)
    return sorted(set(found))
