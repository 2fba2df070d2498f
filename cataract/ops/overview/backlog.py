"""The work that waits for readers: cases, minutes of reading, and how many will wait in a week."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from django.utils import timezone

from cataract.ml.statistics.intervals import Z
from review.cases.models import ReviewCase
from review.queue.policy import overdue_after

RATE_OF: Final = 14  # days whose cases and answers are the pace of the forecast
AHEAD: Final = 7  # days


def backlog(cases: Sequence[Mapping[str, Any]], readings: Mapping[str, Any]) -> dict[str, Any]:
    """The open cases now, in the past and to come. cases: `figures.cases_by_day` until today; readings: same period."""
    waiting = ReviewCase.objects.of_photos_in_use().filter(kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN)
    oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
    is_open = waiting.count()
    return {
        "open": is_open,
        "late": waiting.filter(created_at__lt=timezone.now() - overdue_after()).count(),
        "oldest": None if oldest is None else oldest.isoformat(),
        "minutes": minutes(is_open, cases, readings),
        "past": past(is_open, cases),
        "expected": expected(is_open, cases),
    }


def minutes(is_open: int, cases: Sequence[Mapping[str, Any]], readings: Mapping[str, Any]) -> float | None:
    """Minutes of one reader for these cases: readings a case times the median time of one; None before there is any."""
    an_hour, resolved = readings["an_hour"]["value"], sum(day["resolved"] for day in cases)
    if not an_hour:
        return None
    per_case = max(1.0, readings["n"] / resolved) if resolved else 1.0
    return is_open * per_case * 60 / float(an_hour)


def past(is_open: int, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many were open at the end of each day, counted back from now."""
    found = []
    for day in reversed(cases):
        found.append({"day": day["day"], "open": max(0, is_open)})
        is_open += day["resolved"] - day["opened"]
    return found[::-1]


def expected(is_open: int, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many will be open at the end of the next days, if cases come and are read as in the last two weeks.

    The interval is that of two Poisson counts; it says nothing of a reader who falls ill.
    """
    recent = cases[-RATE_OF - 1 : -1] or cases  # today is not over
    came = sum(day["opened"] for day in recent) / len(recent)
    went = sum(day["resolved"] for day in recent) / len(recent)
    last = date.fromisoformat(cases[-1]["day"])
    days = []
    for ahead in range(1, AHEAD + 1):
        value, spread = is_open + ahead * (came - went), Z * math.sqrt(ahead * (came + went))
        days.append(
            {
                "day": (last + timedelta(days=ahead)).isoformat(),
                "value": max(0.0, value),
                "low": max(0.0, value - spread),
                "high": max(0.0, value + spread),
            }
        )
    return days


def in_words(expected: Sequence[Mapping[str, Any]], is_open: int) -> str:
    """The forecast as a sentence."""
    if not is_open and not any(round(day["value"]) for day in expected):
        return "No case is waiting."
    empty = next((number for number, day in enumerate(expected, start=1) if round(day["value"]) == 0), None)
    if empty is not None:
        return f"At the pace of the last {RATE_OF} days none waits in {empty} day{'s' if empty > 1 else ''}."
    last = round(expected[-1]["value"])
    way = "grow" if last > is_open else "shrink" if last < is_open else "stay"
    change = f"{way} to {last}" if way != "stay" else f"stay at {last}"
    return f"At the pace of the last {RATE_OF} days they {change} in {AHEAD} days."
