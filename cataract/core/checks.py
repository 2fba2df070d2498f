"""System checks: what the settings promise, said before the system starts instead of in the middle of an upload."""

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from cataract.core.broker import BrokerUnavailable, check_socket_path

# The checks that `manage.py up` and `setup` run: the others import every page first, which costs four seconds.
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
def broker_socket_has_a_possible_path(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    if not settings.EMBEDDED_BROKER:
        return []
    try:
        check_socket_path(settings.BROKER_SOCKET)
    except BrokerUnavailable as error:
        return [Error(str(error), id="cataract.E002")]
    return []


@register(SETTINGS)
def review_rates_are_probabilities(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    rates = {name: getattr(settings, name) for name in ("REVIEW_SECOND_READ_RATE", "REVIEW_AI_FIRST_RATE")}
    return [
        Error(f"{name} must be between 0 and 1, not {rate}.", id="cataract.E003")
        for name, rate in rates.items()
        if not 0 <= rate <= 1
    ]


@register(Tags.security, deploy=True)
def production_is_switched_on(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
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
def no_faults_in_production(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Points that kill the process belong to tests only."""
    if settings.FAULT_INJECTION and not settings.DEBUG:
        return [
            Error(
                "FAULT_INJECTION is on.",
                hint="Unset FAULT_INJECTION: it lets FAILPOINT kill this process.",
                id="predictions.E001",
            )
        ]
    return []


@register(SETTINGS)
def inference_place(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Uploads are answered in the web process or by workers."""
    if settings.INFERENCE in ("web", "celery"):
        return []
    hint = "Set it to web (in the request) or celery (by the workers of the queue predict)."
    return [Error(f"INFERENCE is {settings.INFERENCE!r}.", hint=hint, id="predictions.E003")]


@register(SETTINGS)
def audit_rate(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """A share of the sure answers is always read by people, or live sensitivity could not be known."""
    if not 0 < settings.AUDIT_RATE <= 1:
        return [
            Error(f"AUDIT_RATE is {settings.AUDIT_RATE}.", hint="Set it above 0 and at most 1.", id="predictions.E002")
        ]
    if settings.AUDIT_RATE < 0.05:
        hint = "At least 5 % of the sure answers should be read by people."
        return [Warning(f"AUDIT_RATE is only {settings.AUDIT_RATE}.", hint=hint, id="predictions.W001")]
    return []


@register(SETTINGS)
def promise(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """What the thresholds of a release promise can be promised."""
    if 0 < settings.AUTO_MAX_ERROR < 0.5 and 0.5 <= settings.AUTO_CONFIDENCE < 1:
        return []
    found = f"AUTO_MAX_ERROR is {settings.AUTO_MAX_ERROR}, AUTO_CONFIDENCE {settings.AUTO_CONFIDENCE}."
    hint = "Set the error above 0 and below 0.5, the confidence at least 0.5 and below 1."
    return [Error(found, hint=hint, id="predictions.E004")]
