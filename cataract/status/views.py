"""The status page: what is wrong, what to do, and the repairs that can do no harm."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cataract.accounts import attempts
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from cataract.ops.notices.advice import advised
from cataract.ops.signs_of_life import last_signs
from cataract.status import selectors, services
from training.runs.models import TrainingRun

VIEW = "cataract.view_notice"


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def status_page(request: HttpRequest) -> HttpResponse:
    """Problems with what to do, repairs, workers, queues, facts, and what the doctor found last."""
    signs, examination = last_signs(), selectors.examination()
    findings = examination.content or []
    problems, notices = selectors.problems(signs, findings), selectors.open_notices()
    context: dict[str, Any] = {
        "headline": selectors.headline(problems, notices),
        "problems": problems,
        "notices": [advised(notice) for notice in notices],
        "failed": selectors.failed_photos(),
        "runs": selectors.interrupted_runs(),
        "waiting": attempts.waiting(),
        "signs": signs,
        "queues": selectors.queues(signs),
        "facts": selectors.facts(),
        "examination": examination,
        "findings": findings,
    }
    return render(request, "status/page.html", context)


@require_POST
@login_required
@permission_required([VIEW, "predictions.promote_release"], raise_exception=True)
def retry_photos(request: HttpRequest) -> HttpResponse:
    """Try failed photos again."""
    count = services.retry_failed_photos(by=user_of(request))
    messages.success(request, f"{count} photo{'' if count == 1 else 's'} queued again.")
    return redirect("status:page")


@require_POST
@login_required
@permission_required([VIEW, "training.change_trainingrun"], raise_exception=True)
def resume_run(request: HttpRequest, pk: str) -> HttpResponse:
    """Resume an interrupted training run."""
    run = get_object_or_404(TrainingRun, pk=pk)
    try:
        services.resume_run(run=run, by=user_of(request))
        messages.success(request, "The run is queued again.")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("status:page")


@require_POST
@login_required
@permission_required([VIEW, "auth.change_user"], raise_exception=True)
def let_in(request: HttpRequest, pk: int) -> HttpResponse:
    """Let somebody whose sign-ins failed try again at once."""
    user = get_object_or_404(User, pk=pk)
    services.let_in(user=user, by=user_of(request))
    messages.success(request, f"{user.get_username()} can try again now.")
    return redirect("status:page")


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def ask_doctor(request: HttpRequest) -> HttpResponse:
    """Have a worker examine the system."""
    is_asked = services.ask_doctor(by=user_of(request))
    messages.info(request, "A worker examines the system." if is_asked else "A worker is at it already.")
    return redirect("status:page")
