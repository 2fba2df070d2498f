"""Run the doctor in a worker, and keep what it found for the status page."""

import dataclasses
from typing import Final

from django.utils import timezone

from cataract.core.prepared import store_part
from cataract.ops.doctor import examine

NAME: Final = "doctor"
_MOST = 200  # findings kept: one for each damaged photo could be thousands


def examine_system() -> None:
    """Run every check of `manage.py doctor`. Safe to run twice."""
    as_of = timezone.now()
    findings = [dataclasses.asdict(finding) for finding in examine(lambda _line: None)]
    findings.sort(key=lambda row: ("error", "note", "ok").index(row["level"]))
    store_part(NAME, findings[:_MOST], as_of=as_of)
