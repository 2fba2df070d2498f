"""What to do about each kind of notice, and the page for it."""

from collections.abc import Callable
from typing import NamedTuple

from django.urls import reverse

from cataract.ops.notices.models import Notice


class Advice(NamedTuple):
    """What to do about a notice, and the page for it."""

    text: str
    action: str
    address: Callable[[Notice], str]


ADVICE: dict[str, Advice] = {
    Notice.Kind.RUN_FAILED: Advice(
        "Read the end of its log, remove the cause, and start the run again. The champion keeps serving.",
        "Open the run",
        lambda notice: reverse("admin:training_trainingrun_change", args=[notice.key]),
    ),
    Notice.Kind.DRIFT: Advice(
        "Look at photos then and now: a new camera, another light, other patients? If they stay, train on them.",
        "Open drift",
        lambda notice: reverse("review:drift-segment", args=[notice.key]),
    ),
    Notice.Kind.MODELS_DISAGREE: Advice(
        "Readers get these photos. See since when it is so; where readers side with the accurate model, train again.",
        "Open agreement and accuracy",
        lambda notice: reverse("review:agreement"),
    ),
    Notice.Kind.QUEUE_LATE: Advice(
        "Assign the oldest cases, or ask more readers.",
        "Open the worklist",
        lambda notice: reverse("review:worklist"),
    ),
    Notice.Kind.ACCEPTANCE_LOST: Advice(
        "Newer labels break the promise of this side: clinicians decide again where acceptance decides. Look for a new "
        "camera, other light or other patients; look back at what was answered alone since.",
        "Open automatic answers",
        lambda notice: reverse("review:acceptance"),
    ),
    Notice.Kind.AI_STOPPED: Advice(
        "Readers get every photo. Switch the AI on again once the reason is gone.",
        "Open the safety switch",
        lambda notice: reverse("predictions:stops"),
    ),
    Notice.Kind.AUDIT_BROKEN: Advice(
        "Somebody changed the database past its triggers, or it was restored from a backup. Run manage.py "
        "audit_verify, keep the database as it is, and tell your security officer.",
        "Open the audit log",
        lambda notice: f"{reverse('audit:log')}?act=chain_broken",
    ),
    Notice.Kind.KEY_ENDS: Advice(
        "Make a new key, give it to the system that uses this one, and revoke this one. Until then both work.",
        "Open API keys",
        lambda notice: reverse("admin:predictions_apitoken_changelist"),
    ),
    Notice.Kind.PREDICTIONS_FAILED: Advice(
        "Retry them in the admin. Readers get these photos meanwhile, so no patient is lost.",
        "Open the failed predictions",
        lambda notice: f"{reverse('admin:predictions_prediction_changelist')}?status__exact=failed",
    ),
    Notice.Kind.PREDICTIONS_LATE: Advice(
        "Is a worker running, and does its log say why it is slow? Photos are kept, and each is answered in the end.",
        "Open the waiting photos",
        lambda notice: f"{reverse('predictions:list')}?state=queued",
    ),
    Notice.Kind.NO_CHAMPION: Advice(
        "Every photo goes to a clinician. Promote a release, or run manage.py install_starter.",
        "Open releases",
        lambda notice: reverse("admin:training_releasereview_changelist"),
    ),
    Notice.Kind.RELEASE_DEGRADED: Advice(
        "Its files are missing or damaged, so every photo goes to a clinician. Restore its folder from a backup, or "
        "roll back to the release before.",
        "Open releases",
        lambda notice: reverse("admin:training_releasereview_changelist"),
    ),
    Notice.Kind.BACKUP: Advice(
        "Look for back_up_nightly in the worker's log, and whether the repository can be reached. Until it works, a "
        "lost disk loses what came since.",
        "Open the status page",
        lambda notice: reverse("status:page"),
    ),
    Notice.Kind.DISK: Advice(
        "Free some space, or photos are refused soon. Retention periods and purges free it for good.",
        "Open the status page",
        lambda notice: reverse("status:page"),
    ),
}


class Advised(NamedTuple):
    """A notice with what to do about it. Its kind, detail and times are those of `notice`."""

    notice: Notice
    text: str
    action: str
    address: str


def advised(notice: Notice) -> Advised:
    """The notice with its advice."""
    advice = ADVICE[notice.kind]
    return Advised(notice, advice.text, advice.action, advice.address(notice))
