"""When MLflow is asked next: rarely while all is in order, and later after each call that it did not answer."""

from django.conf import settings
from django.core.cache import cache

CHECK_SECONDS = 300  # what a person deletes in MLflow is back after this time
_FIRST_PAUSE, _LONGEST_PAUSE = 15, 900


def is_in_order(wanted: str) -> bool:
    """Whether the registry was found to be `wanted` (a digest) less than CHECK_SECONDS ago."""
    return bool(cache.get(_key("in-order")) == wanted)


def found_in_order(wanted: str) -> None:
    cache.set(_key("in-order"), wanted, CHECK_SECONDS)


def is_waiting() -> bool:
    """Whether MLflow failed so recently that it is left alone."""
    return cache.get(_key("pause")) is not None


def failed() -> int:
    """Begin a pause, twice as long as the last; return its seconds."""
    failures = int(cache.get(_key("failures"), 0))
    pause = int(min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE))
    cache.set(_key("failures"), failures + 1, 4 * _LONGEST_PAUSE)
    cache.set(_key("pause"), True, pause)
    return pause


def answered() -> None:
    cache.delete(_key("failures"))


def _key(name: str) -> str:
    return f"mlflow-{name}-{settings.MLFLOW_TRACKING_URI}"
