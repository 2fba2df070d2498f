"""The threads of a process write to SQLite one after the other, in the order in which they asked."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, connections, transaction

from cataract.core.locks import FairLock
from cataract.core.sqlite import base

sqlite_only = pytest.mark.skipif("sqlite" not in connection.vendor, reason="PostgreSQL has its own queues")


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(lock: FairLock, number: int) -> None:
    """Until so many threads wait for `lock`."""
    deadline = time.monotonic() + 20
    while len(lock._waiting) < number:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_lock_goes_round_in_the_order_of_asking() -> None:
    lock, order = FairLock(), []

    def take(number: int) -> None:
        assert lock.acquire(timeout=20)
        order.append(number)
        lock.release()

    assert lock.acquire(timeout=0)
    threads = []
    for number in range(8):
        threads.append(in_thread(partial(take, number)))
        wait_for(lock, number + 1)
    lock.release()
    assert lock.acquire(timeout=20)  # whoever comes back at once is the last
    order.append(8)
    lock.release()
    for thread in threads:
        thread.join()
    assert order == list(range(9))


def test_whoever_gives_up_leaves_the_queue() -> None:
    lock = FairLock()
    assert lock.acquire(timeout=0) and not lock.acquire(timeout=0.01) and not lock._waiting
    lock.release()
    assert lock.acquire(timeout=0)
    lock.reset()
    assert lock.acquire(timeout=0)


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_transactions_and_single_writes_take_turns_and_readers_do_not_wait() -> None:
    order: list[str] = []

    def change() -> None:
        with transaction.atomic():
            Group.objects.filter(name="first").update(name="changed")
            order.append(f"changed with {Group.objects.filter(name='second').count()} before it")

    with transaction.atomic():
        Group.objects.create(name="first")
        threads = [in_thread(lambda: Group.objects.create(name="second"))]
        wait_for(base._writers, 1)
        threads.append(in_thread(change))
        wait_for(base._writers, 2)
        in_thread(lambda: order.append(f"{Group.objects.filter(name='first').count()} seen")).join()
        order.append("first")
    for thread in threads:
        thread.join()
    assert order == ["0 seen", "first", "changed with 1 before it"]


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_the_turn_ends_with_every_transaction_however_it_ends() -> None:
    mine: Any = connection  # a DatabaseWrapper of ours
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Group.objects.create(name="undone")
        raise ZeroDivisionError
    with transaction.atomic():
        Group.objects.create(name="kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            raise ZeroDivisionError
        assert mine._has_turn
    assert not mine._has_turn and not base._writers._is_held
    in_thread(lambda: transaction.atomic().__enter__()).join()  # its connection is closed inside a transaction
    assert not base._writers._is_held
    assert [group.name for group in Group.objects.filter(name__in=["undone", "kept"])] == ["kept"]


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_whoever_waits_too_long_is_told_that_the_database_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Exception] = []

    def late() -> None:
        connection.settings_dict["OPTIONS"] = {**connection.settings_dict["OPTIONS"], "timeout": 0.05}
        try:
            Group.objects.create(name="late")
        except OperationalError as error:
            found.append(error)

    with transaction.atomic():
        Group.objects.create(name="long")
        before = connection.settings_dict["OPTIONS"]
        in_thread(late).join()
        connection.settings_dict["OPTIONS"] = before
    assert str(found[0]) == "database is locked"


def test_a_forked_process_starts_with_a_free_lock() -> None:
    assert base._writers.acquire(timeout=0)
    try:
        child = os.fork()
        if child == 0:
            os._exit(0 if base._writers.acquire(timeout=0) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        base._writers.release()
