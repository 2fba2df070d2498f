"""Django's permissions of a user, read in one query instead of two."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.db.models import IntegerField, QuerySet

from cataract.core.compiled import Compiled, Parameter

READS_BLIND = ("review.read_reviewcase", "review.adjudicate_reviewcase")  # whoever has one reads photos blind


def _names() -> QuerySet[Permission, tuple[str, str]]:
    user, names = Parameter("user", IntegerField()), ("content_type__app_label", "codename")
    own = Permission.objects.filter(user=user).order_by().values_list(*names)
    return own.union(Permission.objects.filter(group__user=user).order_by().values_list(*names))


_NAMES = Compiled(_names)


class PermissionsBackend(ModelBackend):
    """Signs in and knows permissions as `ModelBackend` does, and reads those of user and groups together."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """The permissions of an active user as `app.codename`, kept on `user_obj`; none that hold for `obj` alone."""
        if not user_obj.is_active or user_obj.is_anonymous or user_obj.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        if not hasattr(user_obj, "_perm_cache"):
            user_obj._perm_cache = {f"{app}.{codename}" for app, codename in _NAMES.rows(user=user_obj.pk)}
        found: set[str] = user_obj._perm_cache
        return found
