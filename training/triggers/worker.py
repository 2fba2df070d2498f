"""Start training runs automatically, by the policy in the admin: off at first, at most once per set of labels.

A person must promote the challenger of an automatic run, as with any other run.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, Subquery
from django.utils import timezone

from cataract.core.errors import DomainError
from cataract.ml.statistics.intervals import weighted_share
from predictions.answering.answers import contradicts
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.drift.wording import drift_words
from review.agreement import in_service
from review.labels.models import Label
from training.datasets.selectors import dataset_labels, usable_labels
from training.datasets.services import fingerprint_of
from training.runs import services
from training.runs.models import TrainingRun
from training.triggers.models import TrainingPolicy, TriggerFiring

OVERRIDE_DAYS = 30
CHECK_EVERY = timedelta(hours=1)
DRIFT_LABELS = 30  # labels of the photos that have drifted, without which a new model could not learn them
Trigger = TriggerFiring.Trigger


def check() -> TriggerFiring | None:
    """Start a run if the policy asks for one now. Returns the firing, with its run or with the reason why none started.

    Does nothing while a run of the same model is active, even where TRAINING_PARALLEL allows a second, nor when the
    same labels were trained on or asked about before.
    """
    policy = TrainingPolicy.objects.filter(is_on=True).first()
    if policy is None or TrainingRun.objects.in_the_way_of(policy.kind).exists():
        return None
    for trigger, is_due in DUE.items():
        reason = is_due(policy)
        if reason:
            fingerprint = fingerprint_of(dataset_labels()[0])
            if TrainingRun.objects.filter(dataset=fingerprint).exists() or _has_fired(fingerprint):
                return None
            return _fire(policy, trigger, reason, fingerprint)
    return None


def check_if_changed() -> TriggerFiring | None:
    """`check`, once after each new label, and once an hour for what else may have changed; one statement otherwise."""
    now = timezone.now()
    newest_label = Label.objects.order_by("-created_at", "-pk").values("created_at")[:1]
    is_due = (
        Q(checked_at__isnull=True) | Q(checked_at__lte=now - CHECK_EVERY) | Q(checked_at__lt=Subquery(newest_label))
    )
    is_taken = TrainingPolicy.objects.filter(is_due, is_on=True).update(checked_at=now)
    return check() if is_taken else None


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
    """Whether enough labels are missing from the dataset of the last run."""
    if not policy.new_labels:
        return ""
    last = TrainingRun.objects.first()
    new = usable_labels().exclude(pk__in=last.dataset.items.values("label")) if last else usable_labels()
    if new.count() < policy.new_labels:  # a dataset may leave some of them out, but takes no others
        return ""
    known = set(last.dataset.items.values_list("label_id", flat=True)) if last else set()
    count = sum(row.label not in known for row in dataset_labels()[0])
    return f"{count} labels are new, {policy.new_labels} asked for" if count >= policy.new_labels else ""


def _drift(policy: TrainingPolicy) -> str:
    """Whether a confirmed drift has new labels to learn from, and has not started a run yet."""
    if not policy.on_drift:
        return ""
    drifted = DriftSegment.objects.drifted().named()
    newest = DriftCheck.objects.looks().newest_of(drifted)
    fired = TriggerFiring.objects.filter(trigger=Trigger.DRIFT, run__isnull=False)
    for segment in drifted:
        if fired.filter(fired_at__gte=segment.confirmed_at).exists():
            continue
        count = _labels_of(segment)
        if count >= DRIFT_LABELS:
            return f"drift. {drift_words(segment, newest.get(segment.pk))}; {count} of its photos since have new labels"
    return ""


def _labels_of(segment: DriftSegment) -> int:
    """How many labels of the photos of a segment since its drift began are missing from the dataset of the last run."""
    labels = usable_labels().filter(image__created_at__gte=segment.since)
    if segment.device_id is not None:
        labels = labels.filter(image__device=segment.device_id)
    elif segment.site_id is not None:
        labels = labels.filter(image__site=segment.site_id)
    last = TrainingRun.objects.first()
    if last is not None:
        labels = labels.exclude(pk__in=last.dataset.items.values("label"))
    return labels.count()


def _overrides(policy: TrainingPolicy) -> str:
    """Whether readers overrule the AI too often: the lower 95 % limit of the share, weighted by review propensity."""
    if policy.max_override_rate is None:
        return ""
    since = timezone.now() - timedelta(days=OVERRIDE_DAYS)
    read = [row for row in in_service.rows(since) if row.is_read]
    share = weighted_share(
        [contradicts(row.truth, row.decision) for row in read],
        [1 / row.propensity for row in read],
        [row.cluster for row in read],
    )
    if share.low is None or share.low <= policy.max_override_rate:
        return ""
    allowed = policy.max_override_rate
    return f"readers overrule {share.value:.1%} of the answers ({share.low:.1%} at least), {allowed:.1%} allowed"


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
