"""The review over the API, by the same services and rules as the pages.

Claim a case with `next` and answer it blind. Where the AI differs, the response shows its answer and a final answer is
due.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.audit.models import Act
from cataract.core.audit.services import record_view
from cataract.core.http.api import IDEMPOTENCY_KEY, post_once
from cataract.core.http.users import credential_of, user_of
from cataract.core.models import ApiToken
from cataract.core.tokens import Credential
from review.cases.models import ReviewCase
from review.cases.permissions import ADJUDICATE, READ, find_case, has_any
from review.cases.photos import photo_of
from review.pauses.rules import why_not
from review.queue import claims, progress
from review.reading import access, amendments, services, transitions
from review.reading.serializers import (
    AmendSerializer,
    AnswerSerializer,
    CaseSerializer,
    ReopenSerializer,
    SkipSerializer,
)

TAG = ["review"]
CONFLICT = {409: OpenApiResponse(description="The case has changed since; nothing was stored.")}


class MayReview(BasePermission):
    """A reader or adjudicator; with an API key, the key needs the scope `review`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, ApiToken) and ApiToken.Scope.REVIEW not in request.auth.scopes:
            return False
        return has_any(user_of(request), READ, ADJUDICATE)


class MayAdjudicate(MayReview):
    """An adjudicator; with an API key, the key needs the scope `review`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return super().has_permission(request, view) and user_of(request).has_perm(ADJUDICATE)


class ReviewView(APIView):
    permission_classes: Sequence[type[BasePermission]] = (MayReview,)

    def case_response(self, case: ReviewCase) -> Response:
        """The case as the caller may see it now."""
        case, user = find_case(case.pk), user_of(self.request)
        is_blind = access.screen_for(case, user) == access.Screen.BLIND
        ai_first = is_blind and services.show_ai_first(case=case, reader=user)
        return Response(CaseSerializer(case, context={"request": self.request, "ai_first": ai_first}).data)


class QueueView(ReviewView):
    @extend_schema(tags=TAG, summary="How many cases are waiting for me", responses={200: dict})
    def get(self, request: Request) -> Response:
        return Response(asdict(progress.counts(user_of(request))))


class NextView(ReviewView):
    @extend_schema(
        tags=TAG,
        summary="Claim my next case",
        request=None,
        responses={200: CaseSerializer, 204: OpenApiResponse(description="No cases for you right now.")},
    )
    def post(self, request: Request) -> Response:
        case = services.claim_next(reader=user_of(request))
        if case is None and (stop := why_not(user_of(request))) is not None:
            raise stop
        return self.case_response(case) if case is not None else Response(status=204)


class CaseView(ReviewView):
    @extend_schema(tags=TAG, summary="One case, as I may see it now", responses=CaseSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return self.case_response(find_case(pk))


class PhotoView(ReviewView):
    @extend_schema(tags=TAG, summary="The photo of a case", responses={(200, "image/jpeg"): bytes})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        case = find_case(pk)
        if not access.may_see_photo(case, user_of(request)):
            self.permission_denied(request)
        data = photo_of(case)
        record_view(Act.PHOTO_VIEWED, photo=case.image, user=user_of(request), case=str(case.pk))
        return HttpResponse(data, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


class AnswerView(ReviewView):
    @extend_schema(
        tags=TAG, summary="Answer: blind, final, or adjudicate", request=AnswerSerializer,
        parameters=[IDEMPOTENCY_KEY], responses={200: CaseSerializer, **CONFLICT},
    )  # fmt: skip
    def post(self, request: Request, pk: UUID) -> Response:
        case = find_case(pk)
        serializer = AnswerSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)

        def act() -> ReviewCase:
            _store_answer(case, user_of(request), credential_of(request), dict(serializer.validated_data))
            return case

        return post_once(request, act, self.case_response)


def _store_answer(case: ReviewCase, user: User, made_by: Credential, data: dict[str, Any]) -> None:
    """Store a valid answer to its step."""
    step, reason = data.pop("step"), data.pop("reason", "")
    if step == access.Step.BLIND:
        services.store_blind_answer(case=case, reader=user, made_by=made_by, **data)
    elif step == access.Step.ADJUDICATE:
        services.adjudicate(
            case=case,
            adjudicator=user,
            answer=data["answer"],
            reason=reason,
            viewer=data.get("viewer"),
            made_by=made_by,
        )
    else:
        reading = access.own_reading(case, user)
        if reading is None:
            raise transitions.Conflict("You have no blind answer on this case yet.")
        services.store_final_answer(reading=reading, answer=data["answer"], seconds=data.get("seconds"))


class AmendView(ReviewView):
    permission_classes = (MayAdjudicate,)

    @extend_schema(
        tags=TAG, summary="Give a resolved case another answer", request=AmendSerializer,
        description="By an adjudicator who has not read the case. The label becomes an adjudicated one, and the sender "
        "gets an amended result with the reason.",
        parameters=[IDEMPOTENCY_KEY], responses={200: CaseSerializer, **CONFLICT},
    )  # fmt: skip
    def post(self, request: Request, pk: UUID) -> Response:
        case = find_case(pk)
        serializer = AmendSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)

        def act() -> ReviewCase:
            amendments.amend_case(
                case=case, adjudicator=user_of(request), made_by=credential_of(request), **serializer.validated_data
            )
            return case

        return post_once(request, act, self.case_response)


class ReopenView(ReviewView):
    permission_classes = (MayAdjudicate,)

    @extend_schema(
        tags=TAG, summary="Send a resolved case to a fresh reading", request=ReopenSerializer,
        description="Its label no longer stands, and the sender's result is taken back until it is read again.",
        parameters=[IDEMPOTENCY_KEY], responses={200: CaseSerializer, **CONFLICT},
    )  # fmt: skip
    def post(self, request: Request, pk: UUID) -> Response:
        case = find_case(pk)
        serializer = ReopenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)

        def act() -> ReviewCase:
            return amendments.reopen_case(case=case, adjudicator=user_of(request), **serializer.validated_data)

        return post_once(request, act, self.case_response)


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
        case = find_case(pk)

        def act() -> ReviewCase:
            ACTS[self.act](case, request)
            return case

        return post_once(request, act, self.case_response)


def _claim(case: ReviewCase, request: Request) -> None:
    services.claim_case(case=case, reader=user_of(request))


def _renew(case: ReviewCase, request: Request) -> None:
    if not claims.renew(case, user_of(request)):
        raise transitions.Conflict("Your claim on this case has ended.")


def _release(case: ReviewCase, request: Request) -> None:
    if not claims.release(case, user_of(request)):
        raise transitions.Conflict("Your claim on this case has ended.")


def _skip(case: ReviewCase, request: Request) -> None:
    serializer = SkipSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    services.skip_case(case=case, reader=user_of(request), reason=serializer.validated_data["reason"])


def _undo(case: ReviewCase, request: Request) -> None:
    reading = access.own_reading(case, user_of(request))
    if reading is None:
        raise transitions.Conflict("You have no answer on this case to undo.")
    services.undo_reading(reading=reading, reader=user_of(request))


ACTS: dict[str, Callable[[ReviewCase, Request], None]] = {
    "claim": _claim,
    "renew": _renew,
    "release": _release,
    "skip": _skip,
    "undo": _undo,
}
