"""The roles of the product as Django groups, each with exactly its permissions."""

from collections.abc import Mapping

from django.contrib.auth.models import Group, Permission

_UPLOAD = (
    "predictions.add_eyeimage",
    "predictions.add_prediction",
    "predictions.view_eyeimage",
    "review.add_outcome",
    "review.view_outcome",
    "predictions.change_consent",
    "predictions.delete_photo",
    "predictions.view_acceptance",
)
_LOOK = (
    "predictions.view_every_eyeimage",
    "predictions.view_eyeimage",
    "predictions.view_prediction",
    "predictions.view_release",
    "predictions.view_promotion",
    "predictions.view_livetest",
    "predictions.view_embeddingjob",
    "predictions.view_acceptance",
    "predictions.view_aistop",
    "predictions.view_driftsegment",
    "predictions.view_site",
    "predictions.view_device",
    "predictions.view_patient",
    "predictions.view_finalresult",
    "predictions.view_correction",
    "predictions.view_wrongpatientcheck",
    "review.view_reviewcase",
    "review.view_reading",
    "review.view_label",
    "review.view_amendment",
    "review.view_outcome",
    "review.view_lookback",
    "predictions.view_consentchange",
    "predictions.view_deletion",
    "predictions.view_legalhold",
    "review.view_retraction",
    "training.view_dataset",
    "training.view_trainingrun",
    "training.view_comparison",
    "training.view_trainingpolicy",
    "training.view_triggerfiring",
    "training.view_photoimport",
    "training.view_encoderchange",
    "cataract.view_auditentry",
    "cataract.view_overview",
)
_READ = ("review.read_reviewcase",)

ROLES: Mapping[str, tuple[str, ...]] = {
    "screener": _UPLOAD,
    "integrator": (*_UPLOAD, "predictions.view_release", "predictions.add_webhookendpoint"),
    "reader": _READ,
    "adjudicator": (*_READ, "review.adjudicate_reviewcase", "predictions.view_every_eyeimage"),
    "manager": ("cataract.view_overview", "review.view_reviewcase", "predictions.view_driftsegment"),
    "auditor": _LOOK,
    "admin": (
        *_UPLOAD,
        *_LOOK,
        "predictions.download_original",
        "predictions.promote_release",
        "predictions.decide_acceptance",
        "predictions.stop_ai",
        "predictions.change_driftsegment",
        "predictions.confirm_deletion",
        "predictions.hold_patient",
        "predictions.view_apitoken",
        "predictions.add_apitoken",
        "predictions.change_apitoken",
        "predictions.view_webhookendpoint",
        "predictions.add_webhookendpoint",
        "predictions.change_webhookendpoint",
        "predictions.delete_webhookendpoint",
        "predictions.view_webhookdelivery",
        "predictions.change_webhookdelivery",
        "predictions.view_batch",
        "predictions.add_site",
        "predictions.change_site",
        "predictions.add_device",
        "predictions.change_device",
        "review.assign_reviewcase",
        "review.add_lookback",
        "review.manage_readers",
        "cataract.view_notice",
        "review.retract_labels",
        "training.add_trainingrun",
        "training.add_photoimport",
        "training.add_encoderchange",
        "training.change_trainingrun",
        "training.change_trainingpolicy",
        "auth.view_user",
        "auth.add_user",
        "auth.change_user",
        "auth.view_group",
    ),
}

STAFF = frozenset({"admin", "auditor"})  # the roles that work in the Django admin; an auditor can only look

NOT_FOR_SERVICES = frozenset({"reader", "adjudicator", "manager"}) | STAFF  # the roles that only people have

# The roles that people of a role give to others, although they do not hold every right of them. Nobody changes their
# own roles, so an admin who should read needs a second admin to say so.
GIVES: Mapping[str, tuple[str, ...]] = {"admin": tuple(ROLES)}


def ensure_roles() -> None:
    """Make the group of each role with exactly its permissions. Safe to repeat; raises LookupError before `migrate`."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    for role, names in ROLES.items():
        missing = set(names) - known.keys()
        if missing:
            raise LookupError(f"No such permission: {', '.join(sorted(missing))}. Run `manage.py migrate` first.")
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.set([known[name] for name in names])
