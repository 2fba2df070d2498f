"""The agreement page, for adjudicators, admins and auditors."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from cataract.core import prepared
from cataract.core.broker.nudge import nudge
from cataract.core.http.polling import polling
from cataract.core.querysets import count_up_to
from review.agreement import sections, tasks
from review.cases.models import Reading
from review.cases.permissions import overseers_only

PERIODS = {"30": "last 30 days", "90": "last 90 days", "365": "last year", "": "all time"}
AT_ONCE = 2000  # readings whose figures are computed in the request; a worker computes those of more
_POLLS = 60


@require_GET
@overseers_only
def agreement_page(request: HttpRequest) -> HttpResponse:
    """How far readers and the AI can be trusted; each figure with n, interval and data."""
    days = request.GET.get("days", "")
    days = days if days in PERIODS else ""
    context = {"periods": PERIODS.items(), "days": days, **_figures(request, days)}
    return render(request, "review/agreement.html", context)


def _figures(request: HttpRequest, days: str) -> dict[str, Any]:
    """The figures as HTML; or those that a worker computed last, with their time, while it computes newer ones."""
    since = sections.since_of(days)
    readings = Reading.objects.standing()
    if not count_up_to(readings if since is None else readings.filter(blind_at__gte=since), AT_ONCE).is_more:
        return {"figures": mark_safe(sections.as_html(days))}  # rendered by a template of ours
    part = prepared.last_part(sections.part_name(days), lambda: nudge(tasks.prepare_figures, days))
    figures = mark_safe(part.content or "")  # rendered by a template of ours
    is_first = part.made_at is None
    return {"figures": figures, "part": part, **polling(request, waits=is_first, most=_POLLS, quick=20)}
