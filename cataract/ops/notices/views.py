"""The page of notices: what is wrong, what to do, and which of it this admin has seen."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cataract.core.http.users import user_of
from cataract.ops.notices.models import Notice

VIEW = "cataract.view_notice"
_HISTORY = timedelta(days=30)


class Advice(NamedTuple):
    """What to do about a notice, and the page for it."""

    text: str
    action: str
    address: Callable[[Notice], str]


ADVICE: dict[str, Advice] = {
    Notice.Kind.RUN_FAILED: Advice(
        "Read the end of its log, remove the cause, and start the run again. The champion keeps serving.",
        "Open the run",
        lambda notice: reverse("admin:training_trainingrun_change", args=[notice.key]),
    ),
    Notice.Kind.DRIFT: Advice(
        "Look at photos then and now: a new camera, another light, other patients? If they stay, train on them.",
        "Open drift",
        lambda notice: reverse("review:drift-segment", args=[notice.key]),
    ),
    Notice.Kind.MODELS_DISAGREE: Advice(
        "Readers get these photos. See since when it is so; where readers side with the accurate model, train again.",
        "Open agreement and accuracy",
        lambda notice: reverse("review:agreement"),
    ),
    Notice.Kind.QUEUE_LATE: Advice(
        "Assign the oldest cases, or ask more readers.",
        "Open the worklist",
        lambda notice: reverse("review:worklist"),
    ),
    Notice.Kind.ACCEPTANCE_LOST: Advice(
        "Newer labels break the promise of this side: clinicians decide again where acceptance decides. Look for a new "
        "camera, other light or other patients; look back at what was answered alone since.",
        "Open automatic answers",
        lambda notice: reverse("review:acceptance"),
    ),
    Notice.Kind.AI_STOPPED: Advice(
        "Readers get every photo. Switch the AI on again once the reason is gone.",
        "Open the safety switch",
        lambda notice: reverse("predictions:stops"),
    ),
    Notice.Kind.AUDIT_BROKEN: Advice(
        "Somebody changed the database past its triggers, or it was restored from a backup. Run manage.py "
        "audit_verify, keep the database as it is, and tell your security officer.",
        "Open the audit log",
        lambda notice: f"{reverse('audit:log')}?act=chain_broken",
    ),
    Notice.Kind.KEY_ENDS: Advice(
        "Make a new key, give it to the system that uses this one, and revoke this one. Until then both work.",
        "Open API keys",
        lambda notice: reverse("admin:predictions_apitoken_changelist"),
    ),
    Notice.Kind.PREDICTIONS_FAILED: Advice(
        "Retry them in the admin. Readers get these photos meanwhile, so no patient is lost.",
        "Open the failed predictions",
        lambda notice: f"{reverse('admin:predictions_prediction_changelist')}?status__exact=failed",
    ),
}


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def notices_page(request: HttpRequest) -> HttpResponse:
    """The open notices, newest first, and those of the last month that are resolved."""
    unseen = set(Notice.objects.unseen_by(user_of(request)).values_list("pk", flat=True))
    rows = [
        (notice, advice.text, advice.action, advice.address(notice), notice.pk in unseen)
        for notice in Notice.objects.open()
        for advice in [ADVICE[notice.kind]]
    ]
    resolved = Notice.objects.filter(resolved_at__gte=timezone.now() - _HISTORY).order_by("-resolved_at")
    context = {"rows": rows, "resolved": resolved, "any_unseen": bool(unseen)}
    return render(request, "ops/notices.html", context)


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def mark_seen(request: HttpRequest, pk: UUID) -> HttpResponse:
    """This admin has seen the notice: it no longer counts in the navigation."""
    get_object_or_404(Notice, pk=pk).seen_by.add(user_of(request))
    return redirect("ops:notices")


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def mark_all_seen(request: HttpRequest) -> HttpResponse:
    """This admin has seen every open notice."""
    user = user_of(request)
    for notice in Notice.objects.unseen_by(user):
        notice.seen_by.add(user)
    return redirect("ops:notices")
