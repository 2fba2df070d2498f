"""Who may change which account, and which roles they may give."""

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from cataract.roles import GIVES

ADMINISTER = "auth.change_user"


def may_manage(actor: User, target: User) -> bool:
    """Whether `actor` may change the account of `target`, set its password or end its sessions.

    Nobody but a superuser changes their own account, a superuser's, or that of somebody who can do what the actor
    neither can nor may give.
    """
    if actor.is_superuser:
        return True
    if not actor.has_perm(ADMINISTER) or target.pk == actor.pk or target.is_superuser:
        return False
    return not _rights(target).exclude(pk__in=_may_give(actor)).exists()


def roles_to_give(actor: User) -> QuerySet[Group]:
    """The roles that `actor` may give: those whose every right they hold, or that their own role is there to give."""
    if actor.is_superuser:
        return Group.objects.all()
    beyond = Permission.objects.exclude(pk__in=_may_give(actor))
    return Group.objects.exclude(permissions__in=beyond)


def admins() -> QuerySet[User]:
    """The active users who can administer accounts; at least one must remain."""
    return User.objects.with_perm(ADMINISTER, backend="django.contrib.auth.backends.ModelBackend")


def lock_admins() -> None:
    """Let two requests that each take away one of the last two admins wait for each other; needs a transaction."""
    list(Group.objects.select_for_update().filter(name="admin"))


def _rights(user: User) -> QuerySet[Permission]:
    """The rights of a user, active or not."""
    return Permission.objects.filter(Q(group__user=user) | Q(user=user)).distinct()


def _may_give(actor: User) -> list[int]:
    given = {role for own in actor.groups.values_list("name", flat=True) for role in GIVES.get(own, ())}
    by_role = Permission.objects.filter(group__name__in=given)
    return [*_rights(actor).values_list("pk", flat=True), *by_role.values_list("pk", flat=True)]
