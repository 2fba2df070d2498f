"""What the settings of this app must promise before it runs."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

# The checks that `manage.py up` and `setup` run: the others import every page first, which costs four seconds.
SETTINGS = "settings"


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
