"""Pages: the overview of the installation, and the report of a month as a page, a PDF and a CSV."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from cataract.core import prepared
from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.csv_cells import csv_lines
from cataract.core.http.polling import polling
from cataract.core.http.users import user_of
from cataract.ops.notices.models import Notice
from cataract.ops.overview import monthly, page, selectors, tasks
from cataract.ops.overview.months import Month, this_month
from cataract.ops.signs_of_life import last_signs

VIEW = "cataract.view_overview"
_LISTED_MONTHS = 13
_NOTICES = 5
_POLLS = 60


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def overview_page(request: HttpRequest) -> HttpResponse:
    """What counts today and over time; each tile and chart leads to its list."""
    content, part = selectors.overview(lambda: nudge(tasks.prepare_overview, ""))
    context: dict[str, Any] = {"part": part, **polling(request, waits=content is None, most=_POLLS, quick=20)}
    if content is not None:
        links = page.Links(user_of(request), content["days"][0]["day"])
        context |= {
            "headline": page.headline(content),
            "tiles": page.tiles(content, links, workers=len(last_signs().alive)),
            "figures": page.figures(content, links),
            "notices": Notice.objects.open()[:_NOTICES],
        }
    return render(request, "ops/overview.html", context)


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def month_page(request: HttpRequest, name: str = "") -> HttpResponse:
    """The report of a month; without a name of the last one that is over."""
    if not name:
        return redirect("overview:month", this_month().back(1).name)
    month = _month(name)
    content, part = _figures(month)
    context = {
        "month": month,
        "months": [this_month().back(number) for number in range(_LISTED_MONTHS)],
        "document": None if content is None else monthly.document_of(month, content),
        "part": part,
        **polling(request, waits=content is None, most=_POLLS, quick=20),
    }
    return render(request, "ops/month.html", context)


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def month_pdf(request: HttpRequest, name: str) -> HttpResponse:
    """The report of a month as a PDF."""
    month, content = _downloaded(request, name, "pdf")
    if content is None:
        return redirect("overview:month", month.name)
    response = HttpResponse(monthly.pdf_of(month, content), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="report-{month.name}.pdf"'
    return response


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def month_csv(request: HttpRequest, name: str) -> HttpResponse | StreamingHttpResponse:
    """The figures of a month as a CSV, one figure a row."""
    month, content = _downloaded(request, name, "csv")
    if content is None:
        return redirect("overview:month", month.name)
    rows = csv_lines(monthly.rows_of(month, content))
    response = StreamingHttpResponse(rows, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="report-{month.name}.csv"'
    return response


def _month(name: str) -> Month:
    try:
        month = Month.of(name)
    except ValueError as error:
        raise Http404 from error
    if month > this_month():
        raise Http404
    return month


def _figures(month: Month) -> tuple[Any, prepared.Part | None]:
    return selectors.month(month, lambda: nudge(tasks.prepare_month, month.name))


def _downloaded(request: HttpRequest, name: str, kind: str) -> tuple[Month, Any]:
    """The month and its figures, None while a worker computes them; a download is recorded."""
    month = _month(name)
    content, _ = _figures(month)
    if content is not None:
        record(Act.EXPORTED, user=user_of(request), what="monthly report", month=month.name, format=kind)
    return month, content
