"""The auditor's page: who did and saw what, searched, page by page, and as CSV."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from cataract.core.audit import chain
from cataract.core.audit.models import Act, AuditEntry
from cataract.core.audit.services import record
from cataract.core.csv_cells import csv_lines
from cataract.core.http.users import user_of
from cataract.ops.audit.entries import Search, page_of, rows_of, table_of
from cataract.ops.audit.forms import SearchForm
from predictions.answering.blindness import reads_blind

VIEW = "cataract.view_auditentry"


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def audit_page(request: HttpRequest) -> HttpResponseBase:
    """The entries that match, newest first; `?format=csv` downloads all of them."""
    form = SearchForm(request.GET)
    is_reader = reads_blind(user_of(request))
    found = (form.search() if form.is_valid() else Search()).entries(without_readings=is_reader)
    if request.GET.get("format") == "csv":
        return _csv(request, found)
    rows, following = page_of(found, form.cleaned_data.get("before"))
    query = request.GET.copy()
    query.pop("before", None)
    context: dict[str, Any] = {
        "form": form,
        "rows": [(entry, _details(entry)) for entry in rows],
        "query": query.urlencode(),
        "following": following,
        "is_reader": is_reader,
        "head": chain.head(),
        "verified": AuditEntry.objects.filter(act__in=[Act.CHAIN_VERIFIED, Act.CHAIN_BROKEN]).first(),
    }
    return render(request, "ops/audit.html", context, status=200 if form.is_valid() else 422)


def _csv(request: HttpRequest, entries: QuerySet[AuditEntry]) -> StreamingHttpResponse:
    newest = entries.values_list("pk", flat=True).first() or 0
    record(Act.EXPORTED, user=user_of(request), what="audit log")

    response = StreamingHttpResponse(
        csv_lines(table_of(rows_of(entries.filter(pk__lte=newest)))), content_type="text/csv; charset=utf-8"
    )
    name = f"audit-{timezone.localdate().isoformat()}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _details(entry: AuditEntry) -> list[tuple[str, str]]:
    """What an entry holds besides, without hashes."""
    told = {name.replace("_", " "): value for name, value in entry.detail.items() if name != "kept"}
    words = {name: ", ".join(map(str, each)) if isinstance(each, list) else str(each) for name, each in told.items()}
    return list(words.items())
