"""What Django and its admin do by themselves, unseen by our services: rights, and edits in the admin."""

import json
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db.models.signals import m2m_changed, post_save
from django.dispatch import receiver

from cataract.core.audit.models import Act
from cataract.core.audit.services import record


@receiver(m2m_changed, sender=User.groups.through)
@receiver(m2m_changed, sender=User.user_permissions.through)
def rights_changed(instance: Any, action: str, pk_set: set[int] | None, sender: Any, **_: Any) -> None:
    if action in ("post_add", "post_remove", "pre_clear"):
        kind = "roles" if sender is User.groups.through else "permissions"
        record(Act.RIGHTS_CHANGED, about=instance, how=action.partition("_")[2], kind=kind, ids=sorted(pk_set or ()))


@receiver(post_save, sender=LogEntry)
def admin_changed(instance: LogEntry, created: bool, **_: Any) -> None:
    """An edit in the admin: sites, policies, webhooks, accounts. The names of the fields, not their contents."""
    if not created:
        return
    try:
        changes = json.loads(instance.change_message or "[]")
    except ValueError:
        changes = []
    fields = sorted({name for each in changes for name in each.get("changed", {}).get("fields", ())})
    how = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}.get(instance.action_flag, "")
    model = "" if instance.content_type is None else ".".join(instance.content_type.natural_key())
    record(Act.ADMIN_CHANGED, user=instance.user, of=model, row=str(instance.object_id), how=how, fields=fields)
