"""The report of one month: a document for the page and the PDF, and the same figures as rows of a CSV."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.text import capfirst

from cataract.core import charts
from cataract.core.documents.document import Block, Chart, Document, Paragraph, Points, Section, Table
from cataract.core.documents.pdf import render
from cataract.ops.notices.models import Notice
from cataract.ops.overview.figures import share
from cataract.ops.overview.months import Month
from predictions.releases.models import Promotion

Row = Mapping[str, Any]
HEAD = ("figure", "of", "value", "low", "high", "n", "unit")


def document_of(month: Month, content: Row) -> Document:
    """The report as a document."""
    return Document(
        title=f"Report of {month.since:%B %Y}",
        subtitle=f"All sites. Intervals are 95 %. Times are in {settings.TIME_ZONE}. {_over(month)}",
        sections=[
            Section("Photos", _photos(content)),
            Section("Time to the result", [_table(turnaround_rows(content))]),
            Section("Reading", _reading(content)),
            Section("Agreement and accuracy", [_table(accuracy_rows(content))]),
            Section("Sites and cameras", _places(content)),
            Section("What happened", _events(month)),
        ],
    )


def pdf_of(month: Month, content: Row) -> bytes:
    """The report as a PDF."""
    return render(document_of(month, content), footer=settings.INTENDED_USE, photo=lambda _: None)


def rows_of(month: Month, content: Row) -> Iterator[Sequence[Any]]:
    """The figures as rows of a CSV, one a row, beginning with their names."""
    yield ("month", *HEAD)
    for row in (*photo_rows(content), *turnaround_rows(content), *reading_rows(content), *accuracy_rows(content)):
        yield (month.name, *row)
    for kind, places in (("site", content["sites"]), ("camera", content["devices"])):
        for place in places:
            yield (month.name, *_estimate("cannot be judged", f"{kind}: {place['name']}", place, "share"))
    for day, read, cases in zip(content["days"], content["readings"]["days"], content["cases"], strict=True):
        for name in ("sent", "alone", "person", "ungradable", "failed"):
            yield (month.name, f"photos {name}", day["day"], day[name], "", "", "", "photos")
        yield (month.name, "readings", day["day"], read["n"], "", "", "", "readings")
        yield (month.name, "cases opened", day["day"], cases["opened"], "", "", "", "cases")
        yield (month.name, "cases resolved", day["day"], cases["resolved"], "", "", "", "cases")


def photo_rows(content: Row) -> list[tuple[Any, ...]]:
    """How many photos came, and what became of them."""
    total = {name: sum(day[name] for day in content["days"]) for name in content["days"][0] if name != "day"}
    done = total["alone"] + total["person"]
    return [
        ("photos sent", "all", total["sent"], "", "", total["sent"], "photos"),
        _estimate("decided without a person", "answers", share(total["alone"], done), "share"),
        _estimate("cannot be judged", "answers", share(total["ungradable"], done), "share"),
        ("failed", "all", total["failed"], "", "", total["sent"], "photos"),
    ]


def turnaround_rows(content: Row) -> list[tuple[Any, ...]]:
    """The time from upload to the final result: seconds where the AI decided alone, hours where people did."""
    rows = []
    for key, name, unit, factor in (("ai", "the AI alone", "seconds", 3600.0), ("people", "people", "hours", 1.0)):
        found = {
            each: value * factor if each != "n" and value is not None else value
            for each, value in content["turnaround"][key].items()
        }
        rows.append(_estimate("upload to final result, median", name, found, unit))
        rows.append(("upload to final result, nine of ten within", name, found["p90"], "", "", found["n"], unit))
    return rows


def reading_rows(content: Row) -> list[tuple[Any, ...]]:
    """The work of the readers together, and how evenly it was shared; nobody is named or ranked."""
    found, cases = content["readings"], content["cases"]
    return [
        ("readings", "all", found["n"], "", "", found["n"], "readings"),
        ("readers who read", "all", found["readers"], "", "", found["readers"], "readers"),
        ("readings of one reader, median", "readers", found["median"], "", "", found["readers"], "readings"),
        ("readings of one reader, fewest", "readers", found["least"], "", "", found["readers"], "readings"),
        ("readings of one reader, most", "readers", found["most"], "", "", found["readers"], "readings"),
        ("time of reading", "all", round(found["hours"], 2), "", "", found["an_hour"]["n"], "hours"),
        _estimate("readings an hour", "median", found["an_hour"], "readings"),
        ("cases opened", "all", sum(day["opened"] for day in cases), "", "", "", "cases"),
        ("cases resolved", "all", sum(day["resolved"] for day in cases), "", "", "", "cases"),
    ]


def accuracy_rows(content: Row) -> list[tuple[Any, ...]]:
    """Agreement, and accuracy in service."""
    names = {
        "sensitivity": ("sensitivity in service", "photos with cataract", "share"),
        "specificity": ("specificity in service", "photos without cataract", "share"),
        "with_ai": ("first blind answers that agree with the AI", "readings", "share"),
        "between_readers": ("agreement between readers", "cases read twice by chance", "kappa"),
    }
    return [_estimate(name, of, content["accuracy"][key], unit) for key, (name, of, unit) in names.items()]


def _photos(content: Row) -> list[Block]:
    days = [(day["day"][5:], (day["alone"], day["person"])) for day in content["days"]]
    svg = charts.columns("Photos a day", days, ("alone", "to a person"))
    return [_table(photo_rows(content)), Chart(svg, "Answers a day: alone (strong), to a person (pale).", 130.0)]


def _reading(content: Row) -> list[Block]:
    about = (
        "Readers are not named or ranked here: cases differ in difficulty. A wide range says that the work is shared "
        "unevenly."
    )
    return [Paragraph(about), _table(reading_rows(content))]


def _places(content: Row) -> list[Block]:
    head = ["", "Answers", "Alone", "Cannot be judged", "95 % interval"]
    blocks: list[Block] = []
    for title, places in (("By site", content["sites"]), ("By camera", content["devices"])):
        rows = [
            (
                place["name"],
                str(place["n"]),
                f"{place['alone'] / place['n']:.3f}",
                f"{place['value']:.3f}",
                f"{place['low']:.3f} to {place['high']:.3f}",
            )
            for place in places
        ]
        blocks.append(Table(title, head, rows) if rows else Paragraph(f"{title}: no answers."))
    return blocks


def _events(month: Month) -> list[Block]:
    """Promotions and notices of the month."""
    promotions = Promotion.objects.filter(created_at__gte=month.since, created_at__lt=month.until).order_by(
        "created_at"
    )
    opened = Notice.objects.filter(opened_at__gte=month.since, opened_at__lt=month.until).order_by("opened_at")
    told = [
        f"{_day(row.created_at)}: {row.release_id} {'serves again, rolled back to' if row.is_rollback else 'serves'}."
        for row in promotions
    ]
    told += [f"{_day(row.opened_at)}: {row.get_kind_display()}. {row.detail} {_ended(row)}" for row in opened]
    return [Points(told) if told else Paragraph("No promotion and no notice.")]


def _ended(notice: Notice) -> str:
    return f"Resolved {_day(notice.resolved_at)}." if notice.resolved_at else "Still open."


def _day(at: Any) -> str:
    return f"{timezone.localtime(at, timezone.get_default_timezone()):%Y-%m-%d}"


def _over(month: Month) -> str:
    return "" if month.until <= timezone.now() else "The month is not over."


def _table(rows: Sequence[tuple[Any, ...]]) -> Table:
    head = ["Figure", "Of", "Value", "95 % interval", "n", "Unit"]
    return Table("", head, [_cells(row) for row in rows])


def _cells(row: tuple[Any, ...]) -> tuple[str, ...]:
    name, of, value, low, high, n, unit = row
    between = f"{_number(low)} to {_number(high)}" if low not in ("", None) else "-"
    return capfirst(name), of, _number(value), between, str(n), unit


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"


def _estimate(name: str, of: str, found: Row, unit: str) -> tuple[Any, ...]:
    return name, of, found["value"], found["low"], found["high"], found["n"], unit
