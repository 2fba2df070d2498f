"""The overview as tiles and charts, from prepared figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cataract.core import charts
from cataract.core.documents.document import number
from cataract.ops.notices.models import Notice
from cataract.ops.overview import backlog
from cataract.ops.overview.figures import share
from predictions.drift.models import DriftSegment
from predictions.releases.models import Release

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Tile:
    """One figure, large, with its n and interval or its change in small print, and the list behind it.

    kind: "" or "warning", where somebody should look.
    """

    name: str
    value: str
    text: str
    url: str = ""
    kind: str = ""


class Links:
    """Addresses of lists, each only for whoever may open it."""

    def __init__(self, user: User, since: str) -> None:
        self._user, self._since = user, since

    def uploads(self, **filters: str) -> str:
        query = urlencode({"since": self._since, **filters}) if "since" not in filters else urlencode(filters)
        return self._if("predictions.view_every_eyeimage", f"{reverse('predictions:list')}?{query}")

    def named(self, name: str, **filters: str) -> str:
        """The name as a link to these photos."""
        address = self.uploads(**{key: value for key, value in filters.items() if value})
        return format_html('<a href="{}">{}</a>', address, name) if address else name

    def worklist(self, **filters: str) -> str:
        return self._if("review.view_reviewcase", f"{reverse('review:worklist')}?{urlencode(filters)}")

    def agreement(self) -> str:
        return self._if("review.view_reading", f"{reverse('review:agreement')}?days=365")

    def drift(self) -> str:
        return self._if("predictions.view_driftsegment", reverse("review:drift"))

    def status(self) -> str:
        return self._if("cataract.view_notice", reverse("status:page"))

    def _if(self, permission: str, address: str) -> str:
        return address if self._user.has_perm(permission) else ""


def headline(content: Row) -> str:
    """The one sentence that says whether somebody should act."""
    late, notices = content["backlog"]["late"], Notice.objects.open().count()
    if late:
        return f"{late} case{' has' if late == 1 else 's have'} waited longer than agreed."
    if notices:
        return f"{notices} notice{' needs' if notices == 1 else 's need'} somebody."
    return "Nothing needs you right now."


def tiles(content: Row, links: Links, *, workers: int) -> list[Tile]:
    """What counts today; each leads to its list."""
    days, waits, readings = content["days"], content["backlog"], content["readings"]
    return [
        _photos(days, links),
        _alone(days, links),
        _oldest(waits, links),
        _turnaround(content["turnaround"], links),
        _waiting_work(waits, links),
        _pace(readings, links),
        _drift(links),
        _system(links, workers),
    ]


def _photos(days: Sequence[Row], links: Links) -> Tile:
    today, before = days[-1], days[-8]["sent"] if len(days) > 7 else 0
    change = today["sent"] - before
    words = f"{abs(change)} {'more' if change > 0 else 'fewer'} than" if change else "as many as"
    text = f"{words} on the whole day a week ago ({before})"
    return Tile("Photos today", f"{today['sent']:,}", text, links.uploads(since=today["day"]))


def _alone(days: Sequence[Row], links: Links) -> Tile:
    alone, done = sum(day["alone"] for day in days), sum(day["alone"] + day["person"] for day in days)
    found = share(alone, done)
    text = f"{_percents(found)} of {done:,} answers in {len(days)} days" if done else "no answers yet"
    return Tile("Decided without a person", _percent(found["value"]), text, links.uploads(needs_review="false"))


def _oldest(waits: Row, links: Links) -> Tile:
    oldest = None if waits["oldest"] is None else parse_datetime(waits["oldest"])
    value = "None" if oldest is None else duration(timezone.now() - oldest)
    late = waits["late"]
    agreed = f"{settings.REVIEW_AGREED_HOURS:g} hours"
    text = f"{waits['open']:,} open; {late or 'none'} later than the agreed {agreed}"
    url = links.worklist(state="open", oldest="1")
    return Tile("Oldest case waiting", value, text, url, "warning" if late else "")


def _turnaround(found: Row, links: Links) -> Tile:
    people = found["people"]
    nine = "" if people["p90"] is None else f"; nine of ten within {_hours(people['p90'])}"
    text = f"median where people decide, n {people['n']:,}{nine}" if people["n"] else "no result by people yet"
    value = "-" if people["value"] is None else _hours(people["value"])
    return Tile("From upload to final result", value, text, links.uploads(state="final"))


def _waiting_work(waits: Row, links: Links) -> Tile:
    minutes = waits["minutes"]
    value = "-" if minutes is None else duration(timedelta(minutes=minutes))
    return Tile("Reading time waiting", value, backlog.in_words(waits["expected"], waits["open"]), links.worklist())


def _pace(readings: Row, links: Links) -> Tile:
    pace = readings["an_hour"]
    if pace["value"] is None:
        return Tile("Readings an hour", "-", "no reading was timed yet", links.agreement())
    between = "" if pace["low"] is None else f"{pace['low']:.0f} to {pace['high']:.0f}, "
    text = f"{between}n {pace['n']:,} by {readings['readers']} reader{'s' if readings['readers'] != 1 else ''}"
    return Tile("Readings an hour", f"{pace['value']:.0f}", text, links.agreement())


def _drift(links: Links) -> Tile:
    states = list(DriftSegment.objects.values_list("state", flat=True))
    drifted, suspected = states.count(DriftSegment.State.DRIFTED), states.count(DriftSegment.State.SUSPECTED)
    value = "Confirmed" if drifted else "Suspected" if suspected else "None" if states else "-"
    text = f"{drifted} drifted, {suspected} suspected, of {len(states)} watched" if states else "nothing is watched yet"
    return Tile("Drift", value, text, links.drift(), "warning" if drifted else "")


def _system(links: Links, workers: int) -> Tile:
    notices = Notice.objects.open().count()
    champion = Release.objects.champions().values_list("pk", flat=True).first()
    value = "No worker" if not workers else "No release" if champion is None else str(notices)
    at_work = f"{workers or 'no'} worker{'' if workers == 1 else 's'} at work"
    text = f"{notices} open; {at_work}; {champion or 'no release'} serves"
    return Tile("Notices", value, text, links.status(), "" if value == "0" else "warning")


def figures(content: Row, links: Links) -> list[charts.Figure]:
    """The charts, each with its n, interval, table and list."""
    days, time = content["days"], content["over_time"]
    return [
        _per_day(days, links),
        _open_cases(content["backlog"], links),
        _monthly("Sensitivity in service", "read photos with cataract", time["sensitivity"], links.agreement()),
        _monthly("Specificity in service", "read photos without cataract", time["specificity"], links.agreement()),
        _monthly("Readers who agree with the AI", "first blind answers", time["with_ai"], links.agreement()),
        _monthly("Readers among themselves, kappa", "cases read twice", time["between_readers"], links.agreement()),
        _ungradable("Cannot judge, by camera", content["devices"], links),
        *([_ungradable("Cannot judge, by site", content["sites"], links)] if len(content["sites"]) > 1 else []),
    ]


def _per_day(days: Sequence[Row], links: Links) -> charts.Figure:
    title = "Photos a day"
    svg = charts.columns(
        title, [(_short(day["day"]), (day["alone"], day["person"])) for day in days], ("alone", "to a person")
    )
    rows = [(day["day"], day["sent"], day["alone"], day["person"], day["ungradable"], day["failed"]) for day in days]
    head = ["Day", "Sent", "Alone", "To a person", "Cannot judge", "Failed"]
    text = f"{len(days)} days, n {sum(day['sent'] for day in days):,}; today on the right"
    return charts.Figure(title, svg, head, rows[::-1], text, links.uploads())


def _open_cases(waits: Row, links: Links) -> charts.Figure:
    title = "Open cases and the days to come"
    past = [charts.Moment(_short(day["day"]), float(day["open"])) for day in waits["past"]]
    past[-1] = past[-1]._replace(low=past[-1].value, high=past[-1].value)  # from here the interval opens
    ahead = [charts.Moment(_short(day["day"]), day["value"], day["low"], day["high"]) for day in waits["expected"]]
    svg = charts.timeline(title, past, expected=ahead, words=lambda value: f"{value:.0f}")
    rows: list[tuple[object, ...]] = [(day["day"], day["open"], "-") for day in waits["past"]]
    rows += [
        (f"{day['day']} (expected)", f"{day['value']:.0f}", f"{day['low']:.0f} to {day['high']:.0f}")
        for day in waits["expected"]
    ]
    text = f"n {waits['open']:,} today. {backlog.in_words(waits['expected'], waits['open'])}"
    return charts.Figure(title, svg, ["Day", "Open", "95 % interval"], rows, text, links.worklist())


def _monthly(title: str, of: str, rows: Sequence[Row], url: str) -> charts.Figure:
    moments = [charts.Moment(row["name"], row["value"], row["low"], row["high"]) for row in rows]
    n = sum(row["n"] for row in rows)
    text = f"by month, 95 % interval, n {n:,} {of}" if n else f"No {of} yet."
    svg = charts.timeline(title, moments) if n else SafeString()
    return charts.Figure(title, svg, HEAD, [cells(row) for row in rows], text, url)


HEAD = ("Name", "Value", "95 % interval", "n")


def cells(row: Row) -> tuple[object, ...]:
    """A named estimate as the cells of HEAD."""
    between = "-" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
    return row["name"], number(row["value"]), between, row["n"]


def _ungradable(title: str, rows: Sequence[Row], links: Links) -> charts.Figure:
    most = max((row["high"] for row in rows if row["high"] is not None), default=1.0)
    high = next((each for each in (0.04, 0.08, 0.2, 0.4) if most <= each), 1.0)
    shown = [charts.Interval(row["name"], row["value"], row["low"], row["high"], row["n"]) for row in rows]
    svg = charts.intervals(title, shown[:6], high=high) if rows else SafeString()
    text = f"share of answers with 95 % interval, n {sum(row['n'] for row in rows):,}" if rows else "No answers yet."
    url = links.uploads(decision="ungradable")
    cells_of = [(links.named(row["name"], decision="ungradable", **row["filter"]), *cells(row)[1:]) for row in rows]
    return charts.Figure(title, svg, HEAD, cells_of, text, url)


def duration(length: timedelta) -> str:
    """A length of time as people say it: "41 min", "3 h 10", "5 days"."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02}" if hours < 48 else f"{hours // 24} days"


def _hours(hours: float) -> str:
    return duration(timedelta(hours=hours))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _percents(found: Row) -> str:
    return f"{found['low']:.0%} to {found['high']:.0%}" if found["value"] is not None else "-"


def _short(day: str) -> str:
    """A day of this year without the year."""
    return day[5:]
