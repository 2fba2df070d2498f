"""Keep warnings of other libraries away from people whom they would mislead."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_warning(text: str) -> Iterator[None]:
    """Drop the log records of the root logger that contain `text`."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return text not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(is_wanted)
    try:
        yield
    finally:
        root.removeFilter(is_wanted)
