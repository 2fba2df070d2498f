"""A progress counter on stderr for long commands."""

import time
from collections.abc import Callable
from typing import Any


def counter(stream: Any, *, every: float = 0.5) -> Callable[[int, int, str], None]:
    """Return show(done, total, what): one rewritten line on a terminal, elsewhere a line now and then."""
    last = 0.0

    def show(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        terminal = stream.isatty()
        if done < total and now - last < (every if terminal else 10 * every):
            return
        last = now
        stream.write(f"{what} {done} of {total}", ending="\r" if terminal and done < total else "\n")

    return show
