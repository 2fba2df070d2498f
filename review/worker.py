"""The work behind the review's clock: open what should be read, clear what nobody holds any more."""

from review import queue


def sweep() -> tuple[int, int]:
    """Open missing cases and clear ended leases; returns how many of each. Safe at any time and any number of times."""
    return queue.open_cases(), queue.free_expired()
