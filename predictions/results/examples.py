"""Examples for the API description: one real answer, and the refusals that integrators meet first."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_ID = "6f2c1f0e-3a55-4d5e-9c0b-0a4f2f6b7d11"

RESULT: dict[str, Any] = {
    "id": _ID,
    "status": "done",
    "state": "final",
    "final_result": {
        "answer": "cataract",
        "detail": "",
        "basis": "ai",
        "status": "final",
        "contradicts_ai": False,
        "reason": "",
        "at": "2026-01-31T12:00:00.064Z",
    },
    "replaced_by": None,
    "mode": "cascade",
    "prediction": "cataract",
    "confidence": 0.93,
    "probabilities": {"cataract": 0.93, "normal": 0.07},
    "model_used": "fast",
    "models": {"fast": {"score": 2.6, "probability": 0.93}, "accurate": {"score": None, "probability": None}},
    "decision": "cataract",
    "needs_review": False,
    "reasons": [],
    "message": "Probably cataract.",
    "next": "Refer to an eye doctor for an examination.",
    "advice": "",
    "release": "starter-1a2b3c4d",
    "policy_version": "1",
    "processing_time": 0.0642,
    "timings": {"inspect": 0.4, "decode": 21.0, "hash": 1.8, "strip": 0.6, "store": 9.1, "encode": 30.9, "total": 63.8},
    "image": {
        "id": "0b7c8f9a-92c4-4a8e-8f3b-3f1f5a0c2d10",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "patient": "P-1",
        "eye": "OD",
        "width": 4032,
        "height": 3024,
        "near_duplicate_of": None,
        "wrong_patient_check": "none",
        "corrected_at": None,
        "withdrawn_at": None,
    },
    "created_at": "2026-01-31T12:00:00Z",
    "done_at": "2026-01-31T12:00:00.064Z",
    "intended_use": "Screening aid. Not a diagnosis.",
}
_WAITING = RESULT | {
    "status": "queued",
    "state": "queued",
    "final_result": None,
    "prediction": None,
    "confidence": None,
    "probabilities": None,
    "model_used": "none",
    "models": {name: {"score": None, "probability": None} for name in ("fast", "accurate")},
    "decision": "",
    "message": "The photo is stored. The answer is on its way.",
    "next": "Nothing to do: this page updates when the answer arrives.",
    "release": None,
    "policy_version": "",
    "processing_time": None,
    "timings": {},
    "done_at": None,
}


def _problem(status: int, title: str, code: str, detail: str, **extra: Any) -> OpenApiExample:
    value = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, **extra}
    return OpenApiExample(
        code, value=value, response_only=True, status_codes=[str(status)], media_type="application/problem+json"
    )


UPLOAD = [
    OpenApiExample("answered", value=RESULT, response_only=True, status_codes=["201"]),
    OpenApiExample("stored for a worker", value=_WAITING, response_only=True, status_codes=["202"]),
    _problem(
        409,
        "Conflict",
        "duplicate",
        "This photo was already sent on 2026-01-31 12:00.",
        field="photo",
        existing=_ID,
    ),
    _problem(415, "Unsupported Media Type", "type_unknown", "This is not a JPEG, PNG or WebP photo.", field="photo"),
    _problem(
        422, "Unprocessable Entity", "image_truncated", "Only part of the photo arrived. Send it again.", field="photo"
    ),
    _problem(429, "Too Many Requests", "throttled", "Request was throttled. Expected available in 12 seconds."),
]
ONE = [OpenApiExample("answered", value=RESULT, response_only=True, status_codes=["200"])]
