"""The figures of the agreement page, as sections with plots, and as HTML."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html

from cataract.core import charts
from cataract.core.documents.document import number
from cataract.ml.statistics.intervals import Estimate
from predictions.answering.answers import Answer
from predictions.drift.services import accurate_checks_by_week
from review.agreement import in_service
from review.agreement import report as agreement_report
from review.agreement.estimates import Measure

WEEKS = 12  # of checks by the accurate model


@dataclass(frozen=True)
class Section:
    title: str
    text: str
    figures: list[charts.Figure] = field(default_factory=list)


def since_of(days: str) -> datetime | None:
    """The beginning of a period of so many days; None for all time."""
    return timezone.now() - timedelta(days=int(days)) if days else None


def part_name(days: str) -> str:
    """The name under which the figures of a period are prepared (`cataract.core.prepared`)."""
    return f"agreement of {days or 'all'} days"


def as_html(days: str) -> str:
    """The figures of the readings of so many last days, or of all time, as HTML; empty without any reading."""
    since = since_of(days)
    report, rows = agreement_report.report(since), in_service.rows(since)
    if not report.readings:
        return ""
    context = {
        "sections": [_in_service(rows, since), _between_readers(report), _hidden_checks(report), _ai_influence(report)],
        "confusions": report.confusions,
        "answers": Answer.labels,
        "readings": report.readings,
        "counts": in_service.counts(rows),
    }
    return render_to_string("review/_agreement.html", context)


def figure_of(title: str, text: str, measures: Sequence[Measure], *, low: float = 0.0) -> charts.Figure:
    """Measures as dots with intervals on one axis, and as a table."""
    svg = charts.intervals(title, [charts.Interval(one.name, *astuple(one.estimate)) for one in measures], low=low)
    rows = [(_named(one), *_cells(one.estimate)) for one in measures]
    return charts.Figure(title, svg, ["Measure", "Value", "95 % interval", "n"], rows, text)


def _named(measure: Measure) -> str:
    note = format_html('<br><span class="quiet">{}</span>', measure.note) if measure.note else ""
    return format_html("{}{}", measure.name, note)


def _cells(estimate: Estimate) -> tuple[str, str, int]:
    if estimate.value is None or estimate.low is None:
        return number(estimate.value), "-", estimate.n
    return number(estimate.value), f"{estimate.low:.3f} to {estimate.high:.3f}", estimate.n


def _in_service(rows: list[in_service.SampledCase], since: datetime | None) -> Section:
    section = Section(
        "The AI in service",
        in_service.source(rows),
    )
    section.figures.append(figure_of("All releases", "", in_service.measures(rows)))
    releases = in_service.per_release(rows)
    if len(releases) > 1:
        section.figures.extend(figure_of(f"Release {name}", "", measures) for name, measures in releases)
    text = (
        f"Eyes with a photo at most {settings.OUTCOME_WINDOW_DAYS} days before an eye doctor found a cataract. Mostly "
        "patients who were referred, so this is not the sensitivity over all photos."
    )
    section.figures.append(figure_of("Against later outcomes", text, in_service.against_outcomes(since)))
    section.figures.extend(_over_time())
    return section


def _over_time() -> list[charts.Figure]:
    """How the answers of readers, and the disagreement of the two models, move with time."""
    months = in_service.cataract_by_month()
    checks = [
        Measure(f"Week of {monday}", Estimate(found.share, *found.interval, found.photos))
        for monday, found in accurate_checks_by_week(weeks=WEEKS).items()
    ]
    about_months = (
        "Readers' answers in the last twelve months. A share that moves means other patients, or readers who answer "
        "otherwise."
    )
    about_checks = (
        f"{settings.ACCURATE_CHECK_RATE:.0%} of the answers that the fast model gives alone are checked. Readers get "
        "the photos on which the accurate model disagrees."
    )
    figures = [
        ("Cataract among patients always read", about_months, months),
        ("Sure answers that the accurate model contradicts", about_checks, checks),
    ]
    return [figure_of(title, text, measures) for title, text, measures in figures if measures]


def _between_readers(report: agreement_report.Report) -> Section:
    section = Section(
        "Between readers",
        "1 is complete agreement, 0 is agreement by chance. The random share describes the readers; cases chosen "
        "because a reader found them difficult do not.",
    )
    section.figures.append(figure_of("Blind answers to the same photo", "", report.between, low=-1.0))
    if report.pairs:
        section.figures.append(figure_of("Pairs of readers", "Cohen's kappa", report.pairs, low=-1.0))
    return section


def _hidden_checks(report: agreement_report.Report) -> Section:
    section = Section(
        "Hidden checks",
        "Now and then a reader gets a photo with a known answer, or, mirrored, one they read at least "
        f"{settings.REVIEW_REPEAT_DAYS} days ago.",
    )
    section.figures.append(figure_of("Photos with a known answer, answered correctly", "", report.controls))
    section.figures.append(figure_of("Mirrored photos, answered as before", "", report.repeats))
    return section


def _ai_influence(report: agreement_report.Report) -> Section:
    differed = report.differed
    section = Section(
        "How the AI influences readers",
        "Here only an adjudicator's decision counts as truth: labels that followed the AI would prove it right.",
    )
    text = f"The AI contradicted {differed.shown} blind answers; an adjudicator settled the truth of {differed.known}."
    section.figures.append(figure_of("When the AI differed", text, differed.measures))
    title = "Answers before and after the AI was shown"
    svg = charts.bars(title, differed.switches)
    section.figures.append(charts.Figure(title, svg, ["Change", "Cases"], differed.switches))
    section.figures.append(
        figure_of(
            "First answers that agree with the AI",
            "A random share is shown the AI's answer first, and marked.",
            report.anchoring,
        )
    )
    return section
