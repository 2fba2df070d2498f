"""The log: one line for each event, as text for a terminal or as JSON for a collector, each with what it belongs to.

What is bound while a request or a task runs (its id, the prediction, the training run) stands in every line logged
meanwhile: `structlog.contextvars.bound_contextvars(prediction=...)`.
"""

from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
)


def configure(level: str, *, as_json: bool) -> dict[str, Any]:
    """The value of LOGGING: events at `level` or above to standard error, those of the standard library among them."""
    structlog.configure(
        processors=[
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    rendered: tuple[Processor, ...] = (
        (structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(default=str)) if as_json else (_line,)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "event": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
        # Each request has its line, and each error its traceback, with the request's id; Django's have none.
        "loggers": {"django.request": {"level": "CRITICAL"}},
        "root": {"handlers": ["stderr"], "level": level},
    }


def _line(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """`2026-01-31T12:00:00Z WARNING predictions.worker: what happened (task_id=...)`, then a traceback."""
    event = dict(structlog.processors.format_exc_info(logger, name, event))
    traceback = event.pop("exception", "")
    stamp, level, source, text = (event.pop(key, "") for key in ("timestamp", "level", "logger", "event"))
    facts = ", ".join(f"{key}={value}" for key, value in sorted(event.items()) if value not in (None, ""))
    line = f"{stamp} {str(level).upper()} {source}: {text}" + (f" ({facts})" if facts else "")
    return f"{line}\n{traceback}" if traceback else line
