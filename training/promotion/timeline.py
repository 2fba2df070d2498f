"""The timeline of releases: made, compared, tried, promoted, rolled back, rejected; newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from predictions.releases.models import LiveTest, Promotion, Release
from training.comparison.models import Comparison
from training.promotion.models import PromotionRequest

SYSTEM = "the command line"


@dataclass(frozen=True)
class Moment:
    """One thing that happened to a release. who: a person or what acted in their place; why: in their words."""

    at: datetime
    kind: str  # of components/badge.html
    what: str
    release: Release
    who: str = ""
    why: str = ""


def moments() -> list[Moment]:
    """Everything that happened to releases, newest first: one query a kind, however many there are."""
    found = [*_made(), *_compared(), *_asked(), *_promoted(), *_tried()]
    return sorted(found, key=lambda moment: moment.at, reverse=True)


def _made() -> Iterator[Moment]:
    releases = Release.objects.select_related("rejected_by", "mlflow_version").prefetch_related(
        "training_runs__requested_by", "training_runs__firing"
    )
    for release in releases:
        runs = list(release.training_runs.all())
        what = "Base to train from" if release.status == Release.Status.BASE else "Made"
        who = runs[-1].asked_for_by if runs else SYSTEM
        yield Moment(release.created_at, "info", what, release, who, runs[-1].reason if runs else "")
        if release.rejected_at is not None:
            by = str(release.rejected_by) if release.rejected_by else "the training run that made it"
            yield Moment(release.rejected_at, "failure", "Rejected", release, by, release.rejection)


def _compared() -> Iterator[Moment]:
    kinds = {Comparison.Verdict.PASS: "good", Comparison.Verdict.FAIL: "failure"}
    for comparison in Comparison.objects.select_related("challenger__mlflow_version").defer("report"):
        words = f"Compared with {comparison.champion_id}: {comparison.get_verdict_display()}"
        kind = kinds.get(Comparison.Verdict(comparison.verdict), "warning")
        yield Moment(comparison.created_at, kind, words, comparison.challenger)


def _asked() -> Iterator[Moment]:
    for request in PromotionRequest.objects.select_related("release__mlflow_version", "requested_by", "decided_by"):
        yield Moment(
            request.requested_at, "person", "Promotion asked for", request.release, str(request.requested_by),
            request.reason,
        )  # fmt: skip
        if request.decided_at is not None and request.promotion_id is None:
            yield Moment(request.decided_at, "person", "Promotion declined", request.release, str(request.decided_by))


def _promoted() -> Iterator[Moment]:
    for promotion in Promotion.objects.select_related("release__mlflow_version", "promoted_by"):
        words = "Rolled back to this release" if promotion.is_rollback else "Promoted"
        if promotion.previous_id:
            words += f", in place of {promotion.previous_id}"
        kind = "warning" if promotion.is_rollback else "good"
        who = str(promotion.promoted_by) if promotion.promoted_by else SYSTEM
        yield Moment(promotion.created_at, kind, words, promotion.release, who, promotion.reason)


def _tried() -> Iterator[Moment]:
    for test in LiveTest.objects.select_related("challenger__mlflow_version", "started_by", "ended_by"):
        name = "Tried in shadow" if test.kind == LiveTest.Kind.SHADOW else f"Answers {test.share:.0%} of the patients"
        by = str(test.started_by) if test.started_by else SYSTEM
        yield Moment(test.started_at, "person", name, test.challenger, by, test.reason)
        if test.ended_at is not None:
            who = str(test.ended_by) if test.ended_by else ""
            yield Moment(test.ended_at, "info", "Live test ended", test.challenger, who, test.end_reason)
