"""The agreement page and the download of labels, for adjudicators, admins and auditors."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from datetime import timedelta
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from cataract.core import charts
from review.agreement import in_service
from review.agreement import report as agreement_report
from review.agreement.estimates import Measure
from review.cases import permissions
from review.cases.answers import Answer
from review.labels import exports

VIEW_READINGS = "review.view_reading"
PERIODS = {"30": "last 30 days", "90": "last 90 days", "365": "last year", "": "all time"}
View = Callable[..., HttpResponseBase]


@dataclass(frozen=True)
class Figure:
    """One plot of the page, with its words and the numbers behind it."""

    title: str
    text: str
    svg: SafeString
    measures: Sequence[Measure] = ()
    counts: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Section:
    title: str
    text: str
    figures: list[Figure] = field(default_factory=list)


def overseers_only(view: View) -> View:
    """For those who adjudicate or may look at every reading; everybody else is told so (403)."""

    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not any(request.user.has_perm(name) for name in (permissions.ADJUDICATE, VIEW_READINGS)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@require_GET
@overseers_only
def agreement_page(request: HttpRequest) -> HttpResponse:
    """How far readers and the AI can be trusted, each figure with n, interval and its numbers."""
    days = request.GET.get("days", "")
    days = days if days in PERIODS else ""
    since = timezone.now() - timedelta(days=int(days)) if days else None
    report, rows = agreement_report.report(since), in_service.rows(since)
    context = {
        "sections": [_service(rows), _between(report), _alone(report), _with_the_ai(report)],
        "confusions": report.confusions,
        "answers": Answer.labels,
        "readings": report.readings,
        "counts": in_service.counts(rows),
        "periods": PERIODS.items(),
        "days": days,
    }
    return render(request, "review/agreement.html", context)


def _plot(title: str, text: str, measures: Sequence[Measure], *, low: float = 0.0) -> Figure:
    rows = [charts.Interval(measure.name, *astuple(measure.estimate)) for measure in measures]
    return Figure(title, text, charts.intervals(title, rows, low=low), measures=measures)


def _service(rows: list[in_service.Chosen]) -> Section:
    section = Section(
        "The AI in service",
        "Doubtful photos are all read, sure ones by chance. Each photo that was read stands for as many as its chance "
        "says, so that these figures describe every photo that came in. Without the weights they would not.",
    )
    section.figures.append(_plot("All releases", "", in_service.measures(rows)))
    releases = in_service.per_release(rows)
    if len(releases) > 1:
        section.figures.extend(_plot(f"Release {name}", "", measures) for name, measures in releases)
    return section


def _between(report: agreement_report.Report) -> Section:
    section = Section(
        "Between readers",
        "1 is complete agreement, 0 what chance would give. The random share describes the readers; the cases that "
        "somebody found difficult do not.",
    )
    section.figures.append(_plot("Blind answers to the same photo", "", report.between, low=-1.0))
    if report.pairs:
        section.figures.append(_plot("Pairs of readers", "Cohen's kappa", report.pairs, low=-1.0))
    return section


def _alone(report: agreement_report.Report) -> Section:
    section = Section(
        "Hidden checks",
        "Now and then a reader gets a photo whose answer is known, or, mirrored, one read at least two weeks ago.",
    )
    section.figures.append(_plot("Known photos answered right", "", report.controls))
    section.figures.append(_plot("The same photo answered the same again", "", report.repeats))
    return section


def _with_the_ai(report: agreement_report.Report) -> Section:
    ledger = report.ledger
    section = Section(
        "What the AI does to readers",
        "Only an adjudicator's decision counts as truth here: labels that followed the AI would prove it right.",
    )
    text = f"{ledger.shown} blind answers were contradicted by the AI; of {ledger.known} the truth is settled."
    section.figures.append(_plot("When the AI differed", text, ledger.measures))
    title = "Answers before and after the AI was shown"
    svg = charts.bars(title, ledger.switches)
    section.figures.append(Figure(title, "", svg, counts=ledger.switches))
    section.figures.append(
        _plot("First answers that agree with the AI", "A marked random share sees the AI first.", report.anchoring)
    )
    return section


@require_GET
@overseers_only
def export(request: HttpRequest) -> HttpResponseBase:
    """Download the standing labels; what the AI had said is in it for those who may see every reading."""
    form = exports.FORMATS.get(request.GET.get("format", "csv"))
    if form is None:
        raise Http404("No such format.")
    labels = exports.labels_to_export(training_only=request.GET.get("training") == "1")
    with_ai = request.user.has_perm(VIEW_READINGS)
    name = f"labels-{timezone.localdate().isoformat()}.{form.extension}"
    return StreamingHttpResponse(
        form.write(labels, with_ai=with_ai),
        content_type=form.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )
