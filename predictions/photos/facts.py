"""The table that comes with a batch: one row a file, saying whose eye it shows."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Facts:
    """What is said of one photo. Empty: not stated."""

    patient_key: str = ""
    eye: str = ""
    site: str = ""
    device: str = ""
    captured_at: datetime | None = None
    may_train: bool = True


NOTHING_STATED = Facts()
