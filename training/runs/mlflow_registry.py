"""Keeps MLflow's model registry equal to the rows: versions, aliases, tags and history of the releases."""

import hashlib
import json
import logging
from typing import Any

from django.conf import settings
from django.db.models import Prefetch, Q

from predictions.releases import store
from predictions.releases.models import Promotion, Release
from training.comparison.admin_utils import release_admin_url
from training.comparison.models import Comparison
from training.runs import mlflow_log
from training.runs.models import TrainingRun
from training.tracking import pace
from training.tracking.mlflow_client import has_store
from training.tracking.models import RegisteredVersion
from training.tracking.registry import Record, reconcile

_log = logging.getLogger(__name__)
_REGISTERED = (Release.Status.CHAMPION, Release.Status.CHALLENGER, Release.Status.RETIRED, Release.Status.REJECTED)
_ALIASES = {"champion": Release.Status.CHAMPION, "challenger": Release.Status.CHALLENGER}


def bring_up_to_date() -> None:
    """Deliver what MLflow missed and make its registry say what the rows say. Raises nothing.

    Asks again after `pace.CHECK_SECONDS`, so that what was deleted by hand comes back; later and later while MLflow
    does not answer. Without a run and a store there is nothing to tell: a query would only create MLflow's database.
    """
    if pace.is_waiting() or not (has_store() or TrainingRun.objects.exists()):
        return
    try:
        mlflow_log.deliver_waiting()
        _reconcile()
    except Exception as error:
        _log.warning("MLflow does not answer. Its records wait; the next try is in %d s: %s", pace.failed(), error)
    else:
        pace.answered()


def _reconcile() -> None:
    records, aliases = wanted()
    facts = [[[record.release, record.run, record.tags] for record in records], aliases]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    if pace.is_in_order(digest):
        return
    for found in reconcile(records, aliases):
        RegisteredVersion.objects.update_or_create(
            release_id=found.release,
            defaults={"version": found.version, "mlflow_run_id": found.run, "mlflow_experiment_id": found.experiment},
        )
    pace.found_in_order(digest)


def wanted() -> tuple[list[Record], dict[str, str]]:
    """The registry's records, oldest release first, and its aliases.

    A release that a running training has registered is left to that training: its version must name the run.
    """
    releases = Release.objects.filter(status__in=_REGISTERED).order_by("created_at")
    running = TrainingRun.objects.in_status(TrainingRun.Status.RUNNING).order_by("created_at").first()
    if running is not None:
        is_told = Q(created_at__lt=running.created_at) | Q(training_runs__isnull=False)
        releases = releases.filter(is_told).distinct()
    records = [
        _record(release)
        for release in releases.prefetch_related(
            Prefetch("training_runs", TrainingRun.objects.exclude(mlflow_run_id="").order_by("created_at")),
            Prefetch("comparisons", Comparison.objects.defer("report").order_by("created_at")),
            Prefetch("promotions", Promotion.objects.order_by("created_at")),
        )
        if store.folder_of(release).is_dir()  # old folders may be deleted: docs/privacy.md
    ]
    known = {record.release for record in records}
    aliases = {alias: _newest(status) for alias, status in _ALIASES.items()}
    return records, {alias: release for alias, release in aliases.items() if release in known or not release}


def _newest(status: str) -> str:
    return Release.objects.filter(status=status).values_list("pk", flat=True).first() or ""


def _record(release: Release) -> Record:
    run = next(iter(release.training_runs.all()), None)
    folder = store.folder_of(release)
    return Record(
        release=release.pk,
        folder=folder,
        run=run.mlflow_run_id if run else "",
        tags=_tags(release, run),
        metrics=lambda: mlflow_log.held_out_metrics(folder, release),
        series=lambda: _points(release),
        history=lambda: _history(release),
    )


def _tags(release: Release, run: TrainingRun | None) -> dict[str, str]:
    """Every tag is always there, so that one whose reason is gone is emptied."""
    comparisons, promotions = list(release.comparisons.all()), list(release.promotions.all())
    tags = {
        "status": release.status,
        "code_commit": str(release.manifest.get("code_commit") or ""),
        "base": str(release.manifest.get("base") or ""),
        "rejection": release.rejection[:500],
        "page": f"{settings.PUBLIC_URL}{release_admin_url(release.pk)}",
        "training_run": str(run.pk) if run else "",
        "dataset": run.dataset_id if run else "",
        **dict.fromkeys(("comparison", "compared_with", "compared_at", "verdict"), ""),
        **dict.fromkeys(("promotion", "promoted_at", "promotion_reason", "replaced"), ""),
    }
    if comparisons:
        last = comparisons[-1]
        tags |= {
            "comparison": str(last.pk),
            "compared_with": last.champion_id,
            "compared_at": last.created_at.isoformat(timespec="seconds"),
            "verdict": last.verdict,
        }
    if promotions:
        promotion = promotions[-1]
        tags |= {
            "promotion": str(promotion.pk),
            "promoted_at": promotion.created_at.isoformat(timespec="seconds"),
            "promotion_reason": promotion.reason[:500],
            "replaced": promotion.previous_id or "",
        }
    return tags


def _points(release: Release) -> list[tuple[str, float, int, int]]:
    """The test figures of each comparison, one step each."""
    return [
        (name, value, round(comparison.created_at.timestamp() * 1000), step)
        for step, comparison in enumerate(release.comparisons.order_by("created_at"))
        for name, value in mlflow_log.test_metrics(comparison.report).items()
    ]


def _history(release: Release) -> list[dict[str, Any]]:
    """Its comparisons and promotions, and those that replaced it, oldest first."""
    events = [_compared(one) for one in release.comparisons.all()]
    events += [_promoted(one) for one in release.promotions.all()]
    events += [_replaced(one) for one in Promotion.objects.filter(previous=release)]
    return sorted(events, key=lambda event: str(event["at"]))


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "at": comparison.created_at.isoformat(timespec="seconds"),
        "what": "compared",
        "comparison": comparison.pk,
        "with": comparison.champion_id,
        "dataset": comparison.dataset_id,
        "verdict": comparison.verdict,
        "reasons": comparison.report.get("reasons", []),
    }


def _promoted(promotion: Promotion) -> dict[str, Any]:
    return {
        "at": promotion.created_at.isoformat(timespec="seconds"),
        "what": "restored by a rollback" if promotion.is_rollback else "promoted",
        "promotion": promotion.pk,
        "in_place_of": promotion.previous_id or "",
        "reason": promotion.reason,
    }


def _replaced(promotion: Promotion) -> dict[str, Any]:
    return {
        "at": promotion.created_at.isoformat(timespec="seconds"),
        "what": "rolled back" if promotion.is_rollback else "replaced",
        "promotion": promotion.pk,
        "by": promotion.release_id,
        "reason": promotion.reason,
    }
