"""Drift in MLflow: each look as metrics of the run that made the release it watched."""

import json
import logging
import re
from typing import Any, Final

from django.conf import settings

from cataract.ml.release.manifest import write_json
from predictions.drift.models import DriftCheck
from training.runs.models import TrainingRun
from training.tracking.drift_log import Point, log_drift

_log = logging.getLogger(__name__)
_MOST: Final = 200  # looks in one round
_LEVELS: Final = {"stable": 0.0, "suspected": 1.0, "drifted": 2.0}


def deliver() -> int:
    """Tell MLflow of the looks that it does not know; return how many. Raises nothing: the next round tries again."""
    record = settings.DATA_DIR / "mlflow" / "drift.json"
    known = json.loads(record.read_text())["check"] if record.is_file() else 0
    checks = DriftCheck.objects.looks().filter(pk__gt=known).select_related("segment__site", "segment__device")
    told = 0
    try:
        for check in checks.order_by("pk")[:_MOST]:
            run = TrainingRun.objects.filter(release=check.release_id).exclude(mlflow_run_id="").first()
            log_drift(release=check.release_id, run=run.mlflow_run_id if run else "", points=points(check))
            record.parent.mkdir(parents=True, exist_ok=True)
            write_json(record, {"check": check.pk})
            told += 1
    except Exception as error:
        _log.warning("MLflow does not answer. The looks for drift are told later: %s", error)
    return told


def points(check: DriftCheck) -> list[Point]:
    """The metrics of one look: "drift/Main site/brightness", the state as 0, 1 or 2, and the estimated performance."""
    where = re.sub(r"[^\w\-. ]", "_", str(check.segment))
    values: dict[str, Any] = {f"drift/{where}/state": _LEVELS[check.state]}
    values |= {f"drift/{where}/{name}": row["difference"] for name, row in check.measures.items()}
    values |= {f"drift/{where}/estimated_{name}": row["value"] for name, row in check.estimated.items()}
    at = round(check.at.timestamp() * 1000)
    return [(name, value, at, check.pk) for name, value in values.items() if value is not None]
