"""manage.py capacity: the simulation agrees with queueing theory where theory has an answer."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from cataract.ops import capacity
from cataract.ops.capacity import Station


def test_one_server_waits_as_pollaczek_and_khinchine_say() -> None:
    """M/G/1: the mean wait is rho / (1 - rho) x (1 + variation^2) / 2 services."""
    rng, load, service = np.random.default_rng(3), 0.7, 10.0
    came = np.cumsum(rng.exponential(service / load, 200_000))
    takes = rng.gamma(capacity._SHAPE, service / capacity._SHAPE, len(came))
    waited = capacity._leave(came, takes, 1) - came - takes
    expected = load / (1 - load) * (1 + capacity.VARIATION**2) / 2 * service
    assert waited[1000:].mean() == pytest.approx(expected, rel=0.06)


def test_more_servers_wait_less_and_an_idle_system_takes_only_its_services() -> None:
    idle = capacity.simulate([Station("a", 4, 20.0), Station("b", 1, 5.0)], 0.5)
    assert idle.p50_ms == pytest.approx(25, rel=0.1)
    waits = [capacity.simulate([Station("a", servers, 20.0 * servers)], 45).p95_ms / servers for servers in (1, 4, 16)]
    assert waits[0] > waits[1] > waits[2]


def test_the_most_is_bounded_by_the_station_that_is_full_first() -> None:
    few = capacity.most([Station("cores", 2, 50.0), Station("lock", 1, 4.0)], p95_ms=1000)
    many = capacity.most([Station("cores", 64, 50.0), Station("lock", 1, 4.0)], p95_ms=1000)
    assert few.fullest == "cores" and 33 < few.per_second <= 36
    assert many.fullest == "lock" and 220 < many.per_second <= 225
    assert capacity.most([Station("cores", 2, 50.0)], p95_ms=10).per_second == 0


def test_the_command_prints_a_row_for_each_size() -> None:
    out = StringIO()
    call_command("capacity", cores=[1, 2], web_ms=50.0, stdout=out)
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"] and "cores" in lines[1]
    assert "13.9 core hours" in lines[-1]
    with pytest.raises(CommandError, match="above 0"):
        call_command("capacity", web_ms=0.0)
