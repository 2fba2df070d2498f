"""System checks: a bad setting is reported by name before the system starts, not in the middle of an upload."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from cataract.core.broker.server import BrokerUnavailable, check_socket_path
from cataract.ml.labels import Mode

# The tag of the checks that `manage.py up` and `setup` run. All others import every page first: four seconds.
SETTINGS = "settings"


@register(SETTINGS)
def data_folder_is_writable(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    nearest = settings.DATA_DIR
    while not nearest.exists():
        nearest = nearest.parent
    if os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir():
        return []
    return [
        Error(
            f"DATA_DIR cannot be written: {settings.DATA_DIR}",
            hint=f"Give this user the right to write to {nearest}, or set DATA_DIR to another folder.",
            id="cataract.E001",
        )
    ]


@register(SETTINGS)
def broker_socket_path_is_short_enough(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    if not settings.EMBEDDED_BROKER:
        return []
    try:
        check_socket_path(settings.BROKER_SOCKET)
    except BrokerUnavailable as error:
        return [Error(str(error), id="cataract.E002")]
    return []


@dataclass(frozen=True)
class Rule:
    """What the settings of these names must be; `requirement` completes the sentence "it must be ..."."""

    names: tuple[str, ...]
    allows: Callable[[Any], bool]
    requirement: str


def _one_of(name: str, *values: str) -> Rule:
    return Rule((name,), values.__contains__, " or ".join(values))


def _is_rate(text: str) -> bool:
    """As Django REST framework reads it: a number, a slash, and a unit of which the first letter counts."""
    return re.fullmatch(r"[1-9][0-9]*/(s|sec|second|m|min|minute|h|hour|d|day)", text) is not None


def _are_splits(fractions: dict[str, float]) -> bool:
    parts = fractions.values()
    return set(fractions) == {"train", "calibration", "test"} and min(parts) > 0 and math.isclose(sum(parts), 1)


RULES = (
    _one_of("INFERENCE", "web", "celery", "ray"),
    _one_of("CASCADE_MODE", *Mode),
    Rule(
        (
            "ACCURATE_CHECK_LIMIT",
            "ACCURATE_CHECK_RATE",
            "ALWAYS_READ_RATE",
            "REVIEW_AI_FIRST_RATE",
            "REVIEW_CONTROL_RATE",
            "REVIEW_REPEAT_RATE",
            "REVIEW_SECOND_READ_RATE",
        ),
        lambda rate: 0 <= rate <= 1,
        "between 0 and 1",
    ),
    Rule(("REVIEW_PASS_MARK",), lambda share: 0.5 < share <= 1, "above 0.5 and at most 1"),
    Rule(("REVIEW_QUALIFYING_CASES",), lambda n: n == 0 or 5 <= n <= 200, "0, or between 5 and 200"),
    Rule(("REVIEW_PAUSE_FAILED",), lambda n: 0 <= n <= 100, "between 0 and 100"),
    # A share of the confident answers is always read by clinicians, or live sensitivity cannot be estimated.
    Rule(("AUDIT_RATE",), lambda rate: 0 < rate <= 1, "above 0 and at most 1"),
    _one_of("AUTO_ANSWERS", "accepted", "release"),
    _one_of("TRAINING_DEVICE", "auto", "cpu", "cuda"),
    Rule(("AUTO_MAX_MISSED", "AUTO_MAX_FALSE_ALARMS"), lambda share: 0 < share < 0.5, "above 0 and below 0.5"),
    Rule(("AUTO_PREVALENCE",), lambda share: 0 <= share < 1, "at least 0 and below 1"),
    Rule(("AUTO_CONFIDENCE",), lambda confidence: 0.5 <= confidence < 1, "at least 0.5 and below 1"),
    Rule(("DRIFT_FALSE_ALARMS",), lambda number: 0 < number <= 12, "above 0 and at most 12"),
    Rule(("SPLIT_FRACTIONS",), _are_splits, "positive shares of train, calibration and test that add up to 1"),
    Rule(
        (
            "DATABASE_WAIT_SECONDS",
            "INFERENCE_THREADS",
            "MAX_BATCH_BYTES",
            "MAX_BATCH_FILES",
            "MAX_BYTES_PER_DAY",
            "MAX_QUEUED_PREDICTIONS",
            "MAX_UPLOAD_BYTES",
            "MAX_UPLOAD_PIXELS",
            "OIDC_UNSEEN_DAYS",
            "OUTCOME_WINDOW_DAYS",
            "PREDICTION_LEASE_SECONDS",
            "RAY_BATCH_SIZE",
            "RAY_MAX_REPLICAS",
            "RAY_MIN_REPLICAS",
            "RAY_QUEUE_PER_REPLICA",
            "RAY_REPLICA_CPUS",
            "REVIEW_AGREED_HOURS",
            "REVIEW_SOON_HOURS",
            "REVIEW_URGENT_HOURS",
            "REVIEW_NOTE_CASES",
            "REVIEW_PAUSE_OF",
            "SESSION_HOURS",
            "SESSION_IDLE_MINUTES",
            "STEP_UP_MINUTES",
            "TRAINING_MAX_HOURS",
            "TRAINING_SILENT_SECONDS",
            "TRASH_DAYS",
            "WEB_PROCESSES",
            "WEB_THREADS",
            "WORKER_PROCESSES",
        ),
        lambda number: number > 0,
        "above 0",
    ),
    Rule(
        (
            "ALWAYS_READ_WEEKLY",
            "BACKUP_KEEP_DAILY",
            "BACKUP_KEEP_MONTHLY",
            "BACKUP_KEEP_WEEKLY",
            "DECODER_PROCESSES",
            "RAY_REPLICA_GPUS",
            "REVIEW_QUICK_SECONDS",
            "REVIEW_SLIP_SECONDS",
            "REVIEW_TOO_FAST_SECONDS",
            "TRAINING_MAX_GIGABYTES",
            "TRAINING_RESUMES",
        ),
        lambda number: number >= 0,
        "0 or more",
    ),
    Rule(("NEWS_DIGEST_HOUR",), lambda hour: 0 <= hour <= 23, "an hour between 0 and 23"),
    Rule(("WORKER_METRICS_PORT",), lambda port: 0 <= port <= 65_535, "a port, or 0 for none"),
    _one_of("LOG_FORMAT", "json", "text"),
    _one_of("LOG_LEVEL", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    Rule(("PORT", "MLFLOW_PORT", "RAY_PORT"), lambda port: 1 <= port <= 65_535, "a port between 1 and 65535"),
    Rule(
        ("INFERENCE_PROVIDERS",),
        lambda names: bool(names) and all(name.endswith("ExecutionProvider") for name in names),
        "a list of ONNX Runtime providers, such as CPUExecutionProvider",
    ),
    Rule(
        ("RATE_READ", "RATE_WRITE", "RATE_UPLOAD", "RATE_BATCH", "RATE_EXPLAIN", "RATE_ANONYMOUS"),
        _is_rate,
        "a positive number per sec, min, hour or day, such as 600/min",
    ),
)


@register(SETTINGS)
def values_are_possible(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Each setting follows its rule in `RULES`."""
    return [
        Error(f"{name} is {value!r}: it must be {rule.requirement}.", id="cataract.E003")
        for rule in RULES
        for name in rule.names
        if not rule.allows(value := _value(name))
    ]


@register(SETTINGS)
def enough_is_audited(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    if not 0 < settings.AUDIT_RATE < 0.05:
        return []
    hint = "At least 5 % of the confident answers should be read by clinicians."
    return [Warning(f"AUDIT_RATE is only {settings.AUDIT_RATE}.", hint=hint, id="cataract.W004")]


@register(SETTINGS)
def mail_is_configured_completely(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """With a mail server, the sender's address and the links in the mails are set too."""
    if not settings.SENDS_MAIL and settings.AUDIT_HEADS_TO:
        return [Error("AUDIT_HEADS_TO names addresses, but EMAIL_URL is empty.", hint="Set it.", id="cataract.E005")]
    if not settings.SENDS_MAIL:
        return []
    needed = {"EMAIL_FROM": settings.DEFAULT_FROM_EMAIL, "PUBLIC_URL": settings.PUBLIC_URL}
    problems: list[CheckMessage] = [
        Error(f"{name} is empty, but EMAIL_URL is set.", hint=f"Set {name}, or unset EMAIL_URL.", id="cataract.E005")
        for name, value in needed.items()
        if not value
    ]
    if settings.PUBLIC_URL and not settings.PUBLIC_URL.startswith(("http://", "https://")):
        problems.append(
            Error(f"PUBLIC_URL is {settings.PUBLIC_URL!r}: it must start with https://.", id="cataract.E005")
        )
    return problems


def _value(name: str) -> Any:
    """The value of a setting. The rates of the API are settings by name that share one dictionary."""
    if name.startswith("RATE_"):
        return settings.API_RATES[name.removeprefix("RATE_").lower()]
    return getattr(settings, name)


@register(Tags.security, deploy=True)
def production_is_configured(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if not settings.PRODUCTION:
        problems.append(
            Warning(
                "PRODUCTION is not set: cookies travel without TLS and the database is a local file.",
                hint="Set PRODUCTION=1 with SECRET_KEY, ALLOWED_HOSTS, DATABASE_URL and REDIS_URL.",
                id="cataract.W001",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        problems.append(Warning("ALLOWED_HOSTS accepts any host name.", id="cataract.W002"))
    if settings.PRODUCTION and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        problems.append(Warning("DATABASE_URL names SQLite: production needs PostgreSQL.", id="cataract.W003"))
    return problems


@register(Tags.security, deploy=True)
def no_faults_in_production(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """Failpoints, which kill the process, are for tests only."""
    if settings.FAULT_INJECTION and not settings.DEBUG:
        return [
            Error(
                "FAULT_INJECTION is on.",
                hint="Unset FAULT_INJECTION: it lets FAILPOINT kill this process.",
                id="cataract.E004",
            )
        ]
    return []
