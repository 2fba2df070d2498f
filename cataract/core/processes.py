"""Child processes that end with their parent, and how many cores there are for them."""

import contextlib
import ctypes
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process `signal_number` when its parent ends (Linux only; does nothing elsewhere).

    Also after kill -9 of the parent, where no handler could stop the children.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal_number)


def available_cores(system: Path = Path("/")) -> int:
    """How many cores this process may use: its affinity, and what its container or unit may take; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(limit) for limit in _limits(system))]))


def _limits(system: Path) -> Iterator[float]:
    """The limits of processor time, in cores, of the control groups (cgroups) of this process."""
    root = system / "sys" / "fs" / "cgroup"
    with contextlib.suppress(OSError, ValueError):  # version 1
        quota, period = (int((root / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        if quota > 0:
            yield quota / period
    with contextlib.suppress(OSError):  # version 2: the group itself, and those that it is part of
        lines = (system / "proc" / "self" / "cgroup").read_text().splitlines()
        name = next((line.removeprefix("0::/") for line in lines if line.startswith("0::")), "")
        group = Path(name)
        for place in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):
                allowed, period_us = (root / place / "cpu.max").read_text().split()
                if allowed != "max":
                    yield int(allowed) / int(period_us)
