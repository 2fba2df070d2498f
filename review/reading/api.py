"""The review over the API: the same services and the same rules as the pages.

Claim with `next`, answer blind; where the AI differs it is then in the answer, and a second, final answer is due.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, post_once
from cataract.core.models import ApiToken
from review.cases import permissions
from review.cases.models import ReviewCase
from review.cases.photos import photo_of
from review.queue import access, claims, progress
from review.reading import services, transitions
from review.reading.serializers import AnswerSerializer, CaseSerializer, SkipSerializer

TAG = ["review"]
CONFLICT = {409: OpenApiResponse(description="The case has moved on; nothing was stored.")}


class MayReview(BasePermission):
    """A reader or adjudicator; with a key, one that has the scope `review`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, ApiToken) and ApiToken.Scope.REVIEW not in request.auth.scopes:
            return False
        return any(request.user.has_perm(name) for name in (permissions.READ, permissions.ADJUDICATE))


class ReviewView(APIView):
    permission_classes = (MayReview,)

    def find(self, pk: UUID) -> ReviewCase:
        case: ReviewCase = get_object_or_404(ReviewCase.objects.select_related("image", "prediction"), pk=pk)
        return case

    def shown(self, case: ReviewCase) -> Response:
        """The case as its caller may see it now."""
        found, person = self.find(case.pk), self.request.user
        reads = access.step(found, person) == "blind"
        ai_first = reads and services.show_ai_first(case=found, reader=person)  # type: ignore[arg-type]
        context = {"request": self.request, "ai_first": ai_first}
        return Response(CaseSerializer(found, context=context).data)


class QueueView(ReviewView):
    @extend_schema(tags=TAG, summary="How many cases wait for me", responses={200: dict})
    def get(self, request: Request) -> Response:
        return Response(asdict(progress.counts(request.user)))  # type: ignore[arg-type]


class NextView(ReviewView):
    @extend_schema(
        tags=TAG,
        summary="Claim my next case",
        request=None,
        responses={200: CaseSerializer, 204: OpenApiResponse(description="Nothing is free for you.")},
    )
    def post(self, request: Request) -> Response:
        case = services.claim_next(reader=request.user)  # type: ignore[arg-type]
        return self.shown(case) if case is not None else Response(status=204)


class CaseView(ReviewView):
    @extend_schema(tags=TAG, summary="One case, as I may see it now", responses=CaseSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return self.shown(self.find(pk))


class PhotoView(ReviewView):
    @extend_schema(tags=TAG, summary="The photo of a case", responses={(200, "image/jpeg"): bytes})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        case = self.find(pk)
        if not access.may_see_photo(case, request.user):  # type: ignore[arg-type]
            self.permission_denied(request)
        return HttpResponse(photo_of(case), content_type="image/jpeg", headers={"Cache-Control": "private"})


class AnswerView(ReviewView):
    @extend_schema(
        tags=TAG, summary="Answer: blind, final, or adjudicate", request=AnswerSerializer,
        parameters=[IDEMPOTENCY_KEY], responses={200: CaseSerializer, **CONFLICT},
    )  # fmt: skip
    def post(self, request: Request, pk: UUID) -> Response:
        case = self.find(pk)
        serializer = AnswerSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return post_once(request, lambda: self._store(case, dict(serializer.validated_data)), self.shown)

    def _store(self, case: ReviewCase, given: dict[str, Any]) -> ReviewCase:
        person = self.request.user
        step, reason = given.pop("step"), given.pop("reason", "")
        if step == "blind":
            services.store_blind_answer(case=case, reader=person, **given)  # type: ignore[arg-type]
        elif step == "adjudicate":
            services.adjudicate(
                case=case, adjudicator=person, answer=given["answer"], reason=reason, viewer=given.get("viewer")  # type: ignore[arg-type]
            )  # fmt: skip
        else:
            reading = access.own_reading(case, person)
            if reading is None:
                raise transitions.Conflict("There is no blind answer of yours on this case yet.")
            services.store_final_answer(reading=reading, answer=given["answer"], seconds=given.get("seconds"))
        return case


class ActView(ReviewView):
    """Claim, renew, release, skip or undo, by the last word of the address."""

    act = ""

    @extend_schema(
        tags=TAG,
        request=SkipSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={200: CaseSerializer, **CONFLICT},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        case = self.find(pk)

        def act() -> ReviewCase:
            ACTS[self.act](case, request)
            return case

        return post_once(request, act, self.shown)


def _renew(case: ReviewCase, request: Request) -> None:
    if not claims.renew(case, request.user):
        raise transitions.Conflict("You no longer hold this case.")


def _release(case: ReviewCase, request: Request) -> None:
    if not claims.release(case, request.user):
        raise transitions.Conflict("You no longer hold this case.")


def _skip(case: ReviewCase, request: Request) -> None:
    serializer = SkipSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    services.skip_case(case=case, reader=request.user, reason=serializer.validated_data["reason"])  # type: ignore[arg-type]


def _undo(case: ReviewCase, request: Request) -> None:
    reading = access.own_reading(case, request.user)
    if reading is None:
        raise transitions.Conflict("You have no answer on this case to take back.")
    services.undo_reading(reading=reading, reader=request.user)  # type: ignore[arg-type]


ACTS: dict[str, Callable[[ReviewCase, Request], Any]] = {
    "claim": lambda case, request: services.claim_case(case=case, reader=request.user),  # type: ignore[arg-type]
    "renew": _renew,
    "release": _release,
    "skip": _skip,
    "undo": _undo,
}
