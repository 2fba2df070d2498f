"""How an eye went from visit to visit, as a chart; the visits beside it say the same in words."""

from django.utils.safestring import SafeString

from cataract.core import charts
from predictions.patients.findings import Finding
from predictions.patients.overview import EyeOverview, Overview

_MOST = 12  # visits in one chart


def trend_of(overview: Overview, eye: EyeOverview) -> SafeString | None:
    """The findings of one eye over the last visits; None with fewer than two."""
    visits = [(visit.day, visit.finding(eye.eye)) for visit in reversed(overview.visits)]
    points = [(f"{day:%Y-%m-%d}", finding.rank) for day, finding in visits if finding is not None][-_MOST:]
    if len(points) < 2:
        return None
    return charts.levels(f"The {eye.name} over {len(points)} visits", [each.words for each in Finding], points)
