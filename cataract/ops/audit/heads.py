"""Signed heads of the audit log, kept outside the database: a file in the data folder, and mails."""

import logging
from datetime import UTC
from pathlib import Path

from django.conf import settings
from django.core.mail import send_mail

from cataract.core.audit.chain import Head

log = logging.getLogger(__name__)


def path() -> Path:
    """One head a line, the newest last."""
    return Path(settings.DATA_DIR) / "audit-heads.txt"


def kept() -> list[Head]:
    """The heads in the file. Raises ValueError for a line that this installation did not sign."""
    lines = path().read_text().splitlines() if path().exists() else []
    return [Head.read(line) for line in lines if line.strip()]


def keep(head: Head) -> None:
    """Add a head to the file, and mail it where AUDIT_HEADS_TO names addresses. A server that refuses is logged."""
    with path().open("a") as file:
        file.write(f"{head}\n")
    if not settings.AUDIT_HEADS_TO:
        return
    day = head.at.astimezone(UTC).date()
    text = f"{head}\n\nKeep this mail: `manage.py audit_verify --head` compares the audit log with its first line.\n"
    try:
        send_mail(f"Audit log of {day}", text, settings.DEFAULT_FROM_EMAIL, settings.AUDIT_HEADS_TO)
    except OSError as error:  # smtplib's errors too
        log.warning("The head of the audit log could not be mailed: %s", error)
