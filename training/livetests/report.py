"""The report of a live test so far: in shadow on the same photos, or A/B, arm against arm."""

from typing import Any

from django.contrib.auth.models import User

from predictions.answering.models import Prediction
from predictions.answering.services import disclose
from predictions.releases.models import LiveTest
from training.livetests.ab_report import ab_report
from training.livetests.shadow_report import shadow_report


def report_on(test: LiveTest) -> dict[str, Any]:
    """The report as JSON; `kind` says which keys it has.

    Rates have 95 % intervals by patient. Figures from labels are weighted by 1 / the probability of being read.
    """
    report = shadow_report(test) if test.kind == LiveTest.Kind.SHADOW else ab_report(test)
    return {"kind": test.kind, "planned": test.photos, "complete": report["photos"] >= test.photos, **report}


def report_to(user: User, test: LiveTest) -> dict[str, Any]:
    """The report, shown to `user`, who then knows the decisions on the differing photos and never reads them blind."""
    report = report_on(test)
    shown = Prediction.objects.filter(pk__in=[flip["prediction"] for flip in report.get("flips", [])])
    disclose(predictions=list(shown), user=user)
    return report
