"""Seal new entries of the audit log; verify all of it each night, and keep its signed head outside the database."""

import logging
from collections.abc import Iterator

from django.db import connection

from cataract.core import record as kept_record
from cataract.core.audit import chain
from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.ops.audit import heads

log = logging.getLogger(__name__)
_SAID = 20  # faults in one entry


def seal() -> int:
    """Append the new entries to the chain."""
    return chain.seal()


def verify_and_keep_head() -> list[str]:
    """Verify everything, record the result, and keep the head of a log that is whole. Returns the faults."""
    chain.seal(everything=True)
    faults = list(faults_of())
    if faults:
        for fault in faults[:_SAID]:
            log.error("Audit log: %s", fault)
        record(Act.CHAIN_BROKEN, faults=faults[:_SAID], count=len(faults))
        return faults
    head = chain.head()
    record(Act.CHAIN_VERIFIED, number=head.number, hash=head.hash)
    heads.keep(head)
    return []


def faults_of(*, newest: int | None = None, other: list[chain.Head] | None = None) -> Iterator[str]:
    """What is wrong with the record: the triggers that keep it, the chain, and the heads kept outside the database."""
    for table in kept_record.unprotected(connection):
        yield f"The table {table} has lost the triggers that keep its rows."
    try:
        stated = heads.kept()
    except ValueError as error:
        stated = []
        yield f"{heads.path()}: {error}"
    yield from chain.verify(heads=[*stated, *(other or [])], newest=newest)
