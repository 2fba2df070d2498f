"""What one period looked like, as plain numbers: photos, turnaround, readings, devices, agreement, accuracy.

The same figures make the overview and the monthly report. Each has its n and, where it is an estimate, its interval
(docs/measures.md). Read by a worker where there are many rows (`cataract.core.prepared`), so all of it is JSON.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, Final

from django.db.models import Count, F, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from cataract.ml.statistics.intervals import Estimate, median_estimate
from predictions.answering.models import FinalResult, Prediction
from review.agreement import estimates, in_service
from review.agreement import report as agreement_report
from review.agreement.estimates import Measure
from review.cases.models import Reading, ReviewCase
from review.queue.progress import OVERHEAD

DEVICES: Final = 12  # with figures of their own: those with the most photos
_DONE: Final = Q(status=Prediction.Status.DONE)


def figures_of(since: datetime, until: datetime) -> dict[str, Any]:
    """Every figure of the period from `since` until before `until`."""
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "days": photos_by_day(since, until),
        "turnaround": turnaround(since, until),
        "readings": readings(since, until),
        "cases": cases_by_day(since, until),
        "sites": ungradable_by(since, until, "image__site__name"),
        "devices": ungradable_by(since, until, "image__site__name", "image__device__name"),
    }


def over_time(since: datetime, until: datetime) -> dict[str, list[dict[str, Any]]]:
    """Agreement between readers and with the AI by month of the reading; accuracy in service by month of the photo."""
    months: dict[str, list[in_service.SampledCase]] = defaultdict(list)
    for row in in_service.rows(since, where=Q(created_at__lt=until)):
        months[f"{timezone.localtime(row.made_at, timezone.get_default_timezone()):%Y-%m}"].append(row)
    measured = {month: in_service.measures(rows) for month, rows in sorted(months.items())}
    found = agreement_report.by_month(since, until)
    return {
        "sensitivity": [_named(month, _measure(each, "Sensitivity")) for month, each in measured.items()],
        "specificity": [_named(month, _measure(each, "Specificity")) for month, each in measured.items()],
        "between_readers": [_named(month, between) for month, (between, _) in found.items()],
        "with_ai": [_named(month, with_ai) for month, (_, with_ai) in found.items()],
    }


def accuracy(since: datetime, until: datetime) -> dict[str, dict[str, Any]]:
    """The same of the whole period: accuracy of the photos whose cases were opened in it, agreement of its readings."""
    measures = in_service.measures(in_service.rows(since, where=Q(created_at__lt=until)))
    between, with_ai = agreement_report.of_period(since, until)
    return {
        "sensitivity": _estimate(_measure(measures, "Sensitivity")),
        "specificity": _estimate(_measure(measures, "Specificity")),
        "between_readers": _estimate(between),
        "with_ai": _estimate(with_ai),
    }


def photos_by_day(since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Per local day: photos sent for an answer; of these decided alone, sent to a person, not judged, and failed."""
    rows = _by_day(
        Prediction.objects.filter(created_at__gte=since, created_at__lt=until),
        "created_at",
        sent=Count("pk"),
        alone=Count("pk", filter=_DONE & Q(needs_review=False)),
        person=Count("pk", filter=_DONE & Q(needs_review=True)),
        ungradable=Count("pk", filter=_DONE & Q(decision=Prediction.Decision.UNGRADABLE)),
        failed=Count("pk", filter=Q(status=Prediction.Status.FAILED)),
    )
    empty = dict.fromkeys(("sent", "alone", "person", "ungradable", "failed"), 0)
    return [{"day": day, **rows.get(day, empty)} for day in _days(since, until)]


def turnaround(since: datetime, until: datetime) -> dict[str, Any]:
    """Hours from upload to the final result, for results given in the period: by the AI alone, by people, and all."""
    hours: dict[bool, list[float]] = {True: [], False: []}
    told = FinalResult.objects.filter(status=FinalResult.Status.FINAL, at__gte=since, at__lt=until)
    for at, sent, basis in told.values_list("at", "prediction__created_at", "basis").iterator():
        hours[basis == FinalResult.Basis.AI].append(max(0.0, (at - sent).total_seconds() / 3600))
    return {"all": _spread(hours[True] + hours[False]), "ai": _spread(hours[True]), "people": _spread(hours[False])}


def readings(since: datetime, until: datetime) -> dict[str, Any]:
    """How much was read, and how fast. No reader is named: the spread tells whether the work is shared."""
    rows = Reading.objects.standing().filter(blind_at__gte=since, blind_at__lt=until)
    per_reader = [n for _, n in rows.order_by().values_list("reader").annotate(n=Count("pk"))]
    seconds = [
        (blind or 0.0) + (final or 0.0)
        for blind, final in rows.filter(blind_seconds__isnull=False).values_list("blind_seconds", "final_seconds")
    ]
    pace = median_estimate([3600 / (each + OVERHEAD) for each in seconds])
    by_day = _by_day(rows, "blind_at", n=Count("pk"))
    return {
        "n": sum(per_reader),
        "readers": len(per_reader),
        "least": min(per_reader, default=0),
        "median": median(per_reader) if per_reader else 0,
        "most": max(per_reader, default=0),
        "hours": sum(each + OVERHEAD for each in seconds) / 3600,
        "an_hour": _estimate(pace),
        "days": [{"day": day, "n": by_day.get(day, {"n": 0})["n"]} for day in _days(since, until)],
    }


def cases_by_day(since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Per local day: cases opened and cases resolved, hidden checks and withdrawn cases left out."""
    cases = ReviewCase.objects.filter(kind=ReviewCase.Kind.CASE)
    opened = cases.exclude(status=ReviewCase.Status.WITHDRAWN).filter(created_at__gte=since, created_at__lt=until)
    resolved = cases.in_status(ReviewCase.Status.RESOLVED).filter(resolved_at__gte=since, resolved_at__lt=until)
    came, went = _by_day(opened, "created_at", n=Count("pk")), _by_day(resolved, "resolved_at", n=Count("pk"))
    none = {"n": 0}
    return [
        {"day": day, "opened": came.get(day, none)["n"], "resolved": went.get(day, none)["n"]}
        for day in _days(since, until)
    ]


def ungradable_by(since: datetime, until: datetime, *by: str) -> list[dict[str, Any]]:
    """The share that the AI cannot judge, among the answers of each site or device; those with the most photos."""
    rows = Prediction.objects.filter(_DONE, created_at__gte=since, created_at__lt=until).order_by()
    counted = rows.values(*by).annotate(
        n=Count("pk"),
        ungradable=Count("pk", filter=Q(decision=Prediction.Decision.UNGRADABLE)),
        alone=Count("pk", filter=Q(needs_review=False)),
    )
    return [
        {
            "name": ", ".join(row[name] or "not stated" for name in by),
            "filter": {key: row[name] or "" for key, name in zip(("site", "device"), by, strict=False)},
            "alone": row["alone"],
            **share(row["ungradable"], row["n"]),
        }
        for row in counted.order_by(F("n").desc(), *by)[:DEVICES]
    ]


def share(k: int, n: int) -> dict[str, Any]:
    """A share with Wilson's interval, as JSON."""
    return _estimate(estimates.share(k, n)) | {"k": k}


def _by_day(rows: Any, field: str, **counts: Any) -> Mapping[str, dict[str, int]]:
    """{day: {name: count}} by the local day of `field`, without days on which there is nothing."""
    day = TruncDate(field, tzinfo=timezone.get_default_timezone())
    found = rows.order_by().annotate(on=day).values("on").annotate(**counts)
    return {row["on"].isoformat(): {name: row[name] for name in counts} for row in found}


def _days(since: datetime, until: datetime) -> Iterable[str]:
    zone = timezone.get_default_timezone()
    day: date = timezone.localtime(since, zone).date()
    last = timezone.localtime(until - timedelta(microseconds=1), zone).date()
    while day <= last:
        yield day.isoformat()
        day += timedelta(days=1)


def _spread(hours: list[float]) -> dict[str, Any]:
    """The median with its interval, and the time within which nine of ten are done."""
    ordered = sorted(hours)
    return _estimate(median_estimate(ordered)) | {"p90": ordered[int(0.9 * (len(ordered) - 1))] if ordered else None}


def _measure(measures: list[Measure], name: str) -> Estimate:
    """The first of these measures whose name begins so: the one over all photos."""
    return next(each.estimate for each in measures if each.name.startswith(name))


def _named(name: str, estimate: Estimate) -> dict[str, Any]:
    return {"name": name, **_estimate(estimate)}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return dict(zip(("value", "low", "high", "n"), astuple(estimate), strict=True))
