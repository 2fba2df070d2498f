"""Runs that start by themselves, by the policy of the admin: off at first, never twice for the same labels.

It starts runs and promotes nothing: a challenger waits for a person as any other does.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.core.errors import DomainError
from predictions.drift.services import recent_drift
from review.agreement import estimates, in_service
from review.queue import policy as queue
from training.datasets.selectors import usable_labels
from training.datasets.services import fingerprint_of
from training.runs import services
from training.runs.models import TrainingPolicy, TrainingRun, TriggerFiring

OVERRIDE_DAYS = 30
Trigger = TriggerFiring.Trigger


def check() -> TriggerFiring | None:
    """Start a run if the policy asks for one now; returns what fired, with its run or with the reason why none began.

    Does nothing while a run of the same model is active, also where TRAINING_PARALLEL would let it, and nothing when
    these very labels were trained on or asked about before.
    """
    policy = TrainingPolicy.objects.filter(is_on=True).first()
    if policy is None or TrainingRun.objects.in_the_way_of(policy.kind).exists():
        return None
    fingerprint = fingerprint_of(usable_labels())
    if TrainingRun.objects.filter(dataset=fingerprint).exists() or _has_fired(fingerprint):
        return None
    for trigger, is_due in DUE.items():
        reason = is_due(policy)
        if reason:
            return _fire(policy, trigger, reason, fingerprint)
    return None


def _has_fired(fingerprint: str) -> bool:
    return TriggerFiring.objects.filter(fingerprint=fingerprint).exists()


def _fire(policy: TrainingPolicy, trigger: str, reason: str, fingerprint: str) -> TriggerFiring | None:
    """The firing, with its run in one transaction; None when another process was first."""
    try:
        with transaction.atomic():
            firing = TriggerFiring.objects.create(trigger=trigger, reason=reason, fingerprint=fingerprint)
            try:
                with transaction.atomic():
                    firing.run = services.start_training(user=None, kind=policy.kind, reason=f"By the policy: {reason}")
            except services.AlreadyRunning:
                raise
            except DomainError as error:
                firing.error = str(error)
            firing.save()
    except (IntegrityError, services.AlreadyRunning):
        return None
    return firing


def _new_labels(policy: TrainingPolicy) -> str:
    """Labels that the dataset of the last run does not hold."""
    if not policy.new_labels:
        return ""
    last = TrainingRun.objects.first()
    labels = usable_labels()
    new = labels.exclude(pk__in=last.dataset.items.values("label")) if last else labels
    count = new.count()
    return f"{count} labels are new, {policy.new_labels} asked for" if count >= policy.new_labels else ""


def _drift(policy: TrainingPolicy) -> str:
    """The index beyond what chance alone gives, where there are photos enough to say so."""
    if policy.max_drift is None:
        return ""
    for name, found in recent_drift()["measures"].items():
        if found["psi"] is not None and found["psi"] - found["expected_psi"] > policy.max_drift:
            return f"{name} has drifted: population stability index {found['psi']:.2f}, {policy.max_drift:g} allowed"
    return ""


def _overrides(policy: TrainingPolicy) -> str:
    """The share of all answers that people contradict, weighted for the chance of being read: its lower 95 % limit."""
    if policy.max_override_rate is None:
        return ""
    since = timezone.now() - timedelta(days=OVERRIDE_DAYS)
    read = [row for row in in_service.rows(since) if row.is_read]
    found = estimates.weighted_share(
        [queue.contradicts(row.truth, row.decision) for row in read],
        [1 / row.propensity for row in read],
        [row.cluster for row in read],
    )
    if found.low is None or found.low <= policy.max_override_rate:
        return ""
    allowed = policy.max_override_rate
    return f"people contradict {found.value:.1%} of the answers ({found.low:.1%} at least), {allowed:.1%} allowed"


def _schedule(policy: TrainingPolicy) -> str:
    if not policy.every_days:
        return ""
    last = TrainingRun.objects.first()
    if last is not None and timezone.now() - last.created_at < timedelta(days=policy.every_days):
        return ""
    return f"the last run is {policy.every_days} days old or older" if last else "there was no run yet"


DUE: dict[str, Callable[[TrainingPolicy], str]] = {
    Trigger.NEW_LABELS: _new_labels,
    Trigger.DRIFT: _drift,
    Trigger.OVERRIDES: _overrides,
    Trigger.SCHEDULE: _schedule,
}
